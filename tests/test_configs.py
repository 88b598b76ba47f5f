"""Configurations: every shipped one runs, on a tiny encoder of its own architecture; mistakes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from conftest import ROOT, ROWS

torch = pytest.importorskip("torch", reason="training needs the `train` extra")

from transformers import AlbertConfig, AlbertModel, BertConfig, BertModel  # noqa: E402

from stance import ConfigError, Predictor  # noqa: E402
from training.base import load_base  # noqa: E402
from training.config import BaseConfig, Config, OptimizerConfig, load_config  # noqa: E402
from training.model import NEW, SentenceClassifier, parameter_groups  # noqa: E402
from training.pretrain import PretrainConfig, pretrain  # noqa: E402
from training.run import train  # noqa: E402
from training.schema import describe, load  # noqa: E402

SMALL = {"num_attention_heads": 2, "intermediate_size": 96, "max_position_embeddings": 64}


def vocabulary(tiny_base: Path) -> list[str]:
    ids = json.loads((tiny_base / "tokenizer.json").read_text())["model"]["vocab"]
    return sorted(ids, key=ids.__getitem__)


@pytest.fixture(scope="session")
def tiny_large(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Deeper and wider than the tiny base, as IndoBERT large is than base; a bare vocab.txt."""
    folder = tmp_path_factory.mktemp("tiny") / "large"
    words = vocabulary(tiny_base)
    config = BertConfig(vocab_size=len(words), hidden_size=48, num_hidden_layers=4, **SMALL)
    BertModel(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def tiny_albert(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As IndoBERT lite is published: an ALBERT, with a BERT's vocab.txt and nothing else."""
    folder = tmp_path_factory.mktemp("tiny") / "albert"
    words = vocabulary(tiny_base)
    config = AlbertConfig(
        vocab_size=len(words), embedding_size=16, hidden_size=32, num_hidden_layers=3, **SMALL
    )
    AlbertModel(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("base", "tiny_base"),
        ("small", "tiny_base"),
        ("smoke", "tiny_base"),
        ("tune", "tiny_base"),
        ("large", "tiny_large"),
        ("lite", "tiny_albert"),
        ("distil", "tiny_large"),
    ],
)
def test_it_runs(name, base, request, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    overrides = [
        f"base.name={request.getfixturevalue(base)}",
        "base.max_length=48",
        "data.limit=24",
        "train.epochs=1",
        "train.patience=null",
        "export.max_macro_f1_loss=1.0",
        f"output={tmp_path / name}",
    ]
    if name == "distil":
        overrides.append("distill.layers=2")
    bundle = train(load_config(ROOT / "configs" / f"{name}.yaml", overrides))
    answer = Predictor(bundle.path).predict_one(ROWS[0][0])
    assert list(answer.labels) == ["claim_type", "certainty", "attribution"]


def test_all_are_tested():
    tested = {"base", "small", "smoke", "tune", "large", "lite", "distil", "pretrain"}
    assert {file.stem for file in (ROOT / "configs").glob("*.yaml")} == tested


def test_a_berts_vocabulary_is_found_beside_an_albert(tiny_albert, tiny_base):
    albert, _ = load_base(BaseConfig(name=str(tiny_albert), max_length=48))
    assert len(albert.tokenizer) == len(vocabulary(tiny_base))
    pieces = albert.tokenizer.tokenize("korban diduga terpeleset")
    assert pieces
    assert albert.tokenizer.unk_token not in pieces


def test_a_tokenizer_of_another_model_is_refused(tiny_large, tmp_path):
    folder = shutil.copytree(tiny_large, tmp_path / "mixed")
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nsatu\n")
    with pytest.raises(ConfigError, match="do not belong together"):
        load_base(BaseConfig(name=str(folder), max_length=48))


def rates(base: Path) -> dict[float, int]:
    loaded, _ = load_base(BaseConfig(name=str(base), max_length=48))
    model = SentenceClassifier(loaded.encoder, {}, ["cue"], "mean", 0.1)
    settings = OptimizerConfig(learning_rate=1.0, head_learning_rate=7.0, layer_decay=0.5)
    found: dict[float, int] = {}
    for group in parameter_groups(model, NEW, settings):
        found[group["lr"]] = found.get(group["lr"], 0) + len(group["params"])
    assert sum(found.values()) == len(list(model.parameters()))
    return found


def test_lower_layers_learn_slower(tiny_large):
    assert sorted(rates(tiny_large)) == [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0, 7.0]


def test_layers_that_share_weights_are_one(tiny_albert):
    assert sorted(rates(tiny_albert)) == [1 / 2, 1.0, 7.0]


def test_an_albert_can_be_pretrained(tiny_albert, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("\n".join(row[0] for row in ROWS * 3))
    overrides = [f"base.name={tiny_albert}", "base.max_length=48", f"text.files=[{text}]"]
    overrides += ["text.held_out=0.3", "train.steps=2"]
    overrides += [f"output={tmp_path / 'run'}"]
    base = pretrain(load(ROOT / "configs" / "pretrain.yaml", PretrainConfig, overrides))
    again, _ = load_base(BaseConfig(name=str(base), max_length=48))
    assert again.encoder.config.model_type == "albert"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.learning_rat=1", "did you mean 'train.learning_rate'"),
        ("epochs=3", "did you mean 'train.epochs'"),
        ("train.max_length=64", "did you mean 'base.max_length'"),
        ("heads.certainty.lables=[a, b]", "did you mean 'heads.certainty.labels'"),
        ("train.seed=99999999999", "less than 2147483648"),
        ("heads.confidence={labels: [a, b]}", "can be called 'confidence'"),
        ("trian.epochs=1", "did you mean 'train'"),
        ("train.epochs=0", "greater than or equal to 1"),
        ("train.epochs=many", "valid integer"),
        ("train.epochs", "section.key=value"),
        ("heads.certainty.merge={sure: alleged}", "merge names labels"),
        ("base.name=/no/such/folder", "cannot be loaded"),
        ("base.max_length=500", "is over"),
        ("data.train=[/no/such/file.jsonl]", "no such data file"),
    ],
)
def test_mistakes_in_a_configuration_are_one_line(stance, tiny_config, override, message):
    outcome = stance("train", tiny_config, "--set", override)
    assert outcome.status == 1
    assert message in outcome.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "a mapping of sections"),
        ("- a list", "a mapping of sections"),
        ("base: [unclosed", "not valid YAML"),
        ("\x00", "not valid YAML"),
        ("data: {train: [a]}\ndata: {train: [b]}", "'data' stands twice"),
    ],
)
def test_a_file_that_is_no_configuration(stance, tmp_path, content, message):
    file = tmp_path / "bad.yaml"
    file.write_text(content)
    outcome = stance("train", file)
    assert outcome.status == 1
    assert outcome.err.startswith("stance: ")
    assert message in outcome.err


def test_a_number_can_name_the_output(stance, tiny_config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert stance("train", tiny_config, "--output", "2026").status == 0
    assert (tmp_path / "2026" / "bundle").is_dir()


def test_help_explains_every_key(stance):
    text = " ".join(stance("train", "--help").out.split())
    for name, _, _, description in describe(Config):
        assert name in text
        assert description.split(",")[0].split()[0] in text
