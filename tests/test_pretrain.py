from __future__ import annotations

import gzip
import json
import math
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, ROWS, write_config

torch = pytest.importorskip("torch", reason="training needs the `train` extra")

from transformers import AutoModel, PreTrainedTokenizerFast  # noqa: E402

from training.base import load_base  # noqa: E402
from training.config import EncoderConfig, load_config  # noqa: E402
from training.loop import Loop  # noqa: E402
from training.pretrain import PretrainConfig, pretrain  # noqa: E402
from training.rawtext import MaskedText, read_documents  # noqa: E402
from training.run import train  # noqa: E402
from training.schema import load  # noqa: E402

TEXTS = [row[0] for row in ROWS]


@pytest.fixture
def config(tiny_base: Path, tmp_path: Path) -> Path:
    """A pretraining of the tiny base on the tests' sentences, a second long."""
    text = tmp_path / "articles.jsonl.gz"
    with gzip.open(text, "wt", encoding="utf-8") as stream:
        for number in range(20):
            document = "\n".join(TEXTS[number % 10 :] + TEXTS[: number % 10])
            stream.write(json.dumps({"isi": document}) + "\n")
    content = {
        "base": {"name": str(tiny_base), "max_length": 48},
        "text": {"files": [str(text)], "column": "isi", "held_out": 0.1},
        "train": {"epochs": 4, "batch_size": 8, "learning_rate": 3e-3, "evaluate_steps": 10},
        "output": str(tmp_path / "run"),
    }
    path = tmp_path / "pretrain.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def losses(folder: Path) -> dict[int, float]:
    records = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return {record["step"]: record["held_out_loss"] for record in records}


def test_the_held_out_loss_falls_and_the_base_can_be_fine_tuned(
    stance, config, tiny_base, tmp_path
):
    outcome = stance("pretrain", config, "--set", "train.epochs=12")
    assert outcome.status == 0, outcome.err
    measured = losses(tmp_path / "run")
    assert list(measured)[:3] == [0, 10, 20]
    assert list(measured.values())[-1] < measured[0] - 0.1
    base = tmp_path / "run" / "base"
    assert AutoModel.from_pretrained(base).dtype == torch.float16
    card = (base / "README.md").read_text()
    assert str(tiny_base) in card
    assert "articles.jsonl.gz | 20 |" in card
    assert "started from nothing" in card
    assert all(f"| {loss:.3f} |" in card for loss in measured.values())
    tuned = train(load_config(write_config(tmp_path, base), ["train.epochs=1"]))
    assert tuned.provenance["base"]["used"] == str(base)


def test_a_base_with_a_head_keeps_it(config, tmp_path):
    first = pretrain(load(config, PretrainConfig))
    again = [f"base.name={first}", f"output={tmp_path / 'again'}", "train.steps=1"]
    pretrain(load(config, PretrainConfig, again))
    ended = list(losses(tmp_path / "run").values())[-1]
    assert losses(tmp_path / "again")[0] == pytest.approx(ended, abs=0.01)
    assert "from nothing" not in (tmp_path / "again" / "base" / "README.md").read_text()


def test_a_stopped_run_resumes_and_ends_with_the_same_loss(config, tmp_path):
    steps = "train.epochs=12"
    pretrain(load(config, PretrainConfig, [steps, f"output={tmp_path / 'whole'}"]))
    command = [sys.executable, "-m", "stance.cli", "pretrain", str(config), "--set", steps]
    stopped = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    log = tmp_path / "run" / "log.jsonl"
    deadline = time.monotonic() + 120
    while not log.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    stopped.send_signal(signal.SIGTERM)
    _, err = stopped.communicate(timeout=120)
    if stopped.returncode == 0:
        pytest.skip("the run was over before the signal arrived")
    assert stopped.returncode == 130
    assert "--resume" in err.splitlines()[-1]
    pretrain(load(config, PretrainConfig, [steps]), resume=True)
    whole, parts = losses(tmp_path / "whole"), losses(tmp_path / "run")
    assert parts[max(whole)] == pytest.approx(whole[max(whole)], abs=1e-3)


def test_every_epoch_leaves_a_checkpoint(config, monkeypatch):
    save, epochs = Loop.save, []

    def noted(self, position):
        epochs.append((position.epoch, position.step))
        save(self, position)

    monkeypatch.setattr(Loop, "save", noted)
    pretrain(load(config, PretrainConfig, ["train.epochs=3"]))
    assert epochs[:-1] == [(1, 0), (2, 0)]
    assert epochs[-1][0] == 2


def test_budgets_end_a_run(config, tmp_path):
    pretrain(load(config, PretrainConfig, ["train.steps=3"]))
    assert list(losses(tmp_path / "run")) == [0, 3]
    pretrain(load(config, PretrainConfig, ["train.max_minutes=0.0001", "train.epochs=9"]))
    assert max(losses(tmp_path / "run")) < 9


def sentencepiece() -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast.from_pretrained(ROOT / "artifacts" / "base")


def wordpiece(tiny_base: Path) -> PreTrainedTokenizerFast:
    base, _ = load_base(EncoderConfig(name=str(tiny_base), max_length=48))
    return base.tokenizer


@pytest.mark.parametrize("kind", ["SentencePiece", "WordPiece"])
def test_words_are_masked_as_wholes(kind, tiny_base):
    tokenizer = sentencepiece() if kind == "SentencePiece" else wordpiece(tiny_base)
    words = "Ketidakmampuan pemerintahan memberatkan perusahaan, kesejahteraan menurun."
    text = MaskedText([words, *TEXTS] * 30, tokenizer, 48, 400)
    (rows,) = text.groups.in_order()
    batch = text.batch(rows, 0.15, torch.Generator().manual_seed(0))
    original = batch.input_ids.clone()
    original[batch.places[:, 0], batch.places[:, 1]] = batch.targets
    chosen = torch.zeros_like(original, dtype=torch.bool)
    chosen[batch.places[:, 0], batch.places[:, 1]] = True

    cut_words = 0
    for ids, picked in zip(original.tolist(), chosen.tolist(), strict=True):
        pieces = tokenizer.convert_ids_to_tokens(ids)
        for before, after in zip(range(len(ids)), range(1, len(ids)), strict=False):
            if kind == "SentencePiece":
                inside = not pieces[after].startswith("▁") and pieces[after] != "</s>"
                inside = inside and pieces[before] != "<s>" and pieces[after] != "<pad>"
            else:
                inside = pieces[after].startswith("##")
            cut_words += inside
            assert not inside or picked[before] == picked[after]
        special = [token in tokenizer.all_special_ids for token in ids]
        unknown = tokenizer.unk_token_id
        assert not any(
            p for p, s, i in zip(picked, special, ids, strict=True) if s and i != unknown
        )
    assert cut_words > 100  # else the test shows nothing

    share = len(batch.targets) / text.tokens
    told = batch.input_ids[batch.places[:, 0], batch.places[:, 1]]
    masked = (told == tokenizer.mask_token_id).float().mean().item()
    kept = (told == batch.targets).float().mean().item()
    assert share == pytest.approx(0.15, abs=0.03)
    assert masked == pytest.approx(0.8, abs=0.06)
    assert kept == pytest.approx(0.1, abs=0.05)


def test_no_token_of_the_text_is_lost_and_documents_do_not_mix(tiny_base):
    tokenizer = wordpiece(tiny_base)
    documents = ["\n".join(TEXTS), TEXTS[0]]
    text = MaskedText(documents, tokenizer, 32, 1)
    sequences = [
        batch.input_ids[0, 1:-1].tolist()
        for batch in (
            text.batch(rows, 1e-9, torch.Generator().manual_seed(0))
            for rows in sorted(text.groups.in_order())
        )
    ]
    whole = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in documents]
    assert all(len(sequence) <= 30 for sequence in sequences)
    assert sum(map(len, sequences)) >= sum(map(len, whole)) - 6 * len(whole)
    assert len(sequences) < len(TEXTS)  # paragraphs share sequences
    assert len(sequences[-1]) == len(whole[1])


def test_plain_text(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("Satu.\nDua.\n\nTiga.\n")
    assert read_documents([str(file)], "text")[0] == ["Satu.\nDua.", "Tiga.\n"]
    file.write_text("Satu.\nDua.\n")
    assert read_documents([str(file)], "text")[0] == ["Satu.", "Dua."]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("text.files=[/no/such.txt]", "no such text file"),
        ("text.files=[/no/such.pdf]", "unknown format"),
        ("text.column=body", "articles.jsonl.gz:1: no column 'body'"),
        ("text.files=[]", "at least 1"),
        ("text.colum=body", "did you mean 'text.column'"),
        ("train.masking=1", "less than 1"),
    ],
)
def test_mistakes_are_one_line(stance, config, override, message):
    outcome = stance("pretrain", config, "--set", override)
    assert outcome.status == 1
    assert message in outcome.err.splitlines()[-1]


def test_the_shipped_configuration_runs(tiny_base, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    overrides = [f"base.name={tiny_base}", "base.max_length=48", f"output={tmp_path}"]
    overrides += ["train.epochs=1", "train.steps=2"]
    pretrain(load(ROOT / "configs" / "pretrain.yaml", PretrainConfig, overrides))
    assert math.isfinite(losses(tmp_path)[max(losses(tmp_path))])
