from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import HEADS, ROOT, ROWS, write_config

from stance import Bundle, DataError, Predictor
from stance.bundle import sha256
from stance.errors import Interrupted

torch = pytest.importorskip("torch", reason="training needs the `train` extra")

from safetensors.torch import load_file, save_file  # noqa: E402

from training.base import load_base  # noqa: E402
from training.config import BaseConfig, load_config  # noqa: E402
from training.corpus import read_dataset  # noqa: E402
from training.run import prepare, train  # noqa: E402


def test_a_run_ends_in_a_bundle_that_records_what_it_was_made_of(stance, tiny_config, tmp_path):
    outcome = stance("train", tiny_config)
    assert outcome.status == 0, outcome.err
    bundle = Bundle.load(tmp_path / "run" / "bundle")
    assert [head.name for head in bundle.heads] == list(HEADS)
    assert bundle.provenance["base"]["used"].endswith("base")
    (train_file,) = bundle.provenance["data"]["train"]
    assert train_file["rows"] == 3 * len(ROWS)
    assert len(train_file["sha256"]) == 64
    card = (bundle.path / "README.md").read_text()
    assert train_file["sha256"][:12] in card
    assert re.findall(
        r"^\| (majority class|cue lexicon|\*\*this bundle\*\*) \| 0\.\d+", card, re.M
    ) == [
        "majority class",
        "cue lexicon",
        "**this bundle**",
    ]
    for head in HEADS:
        assert f"{bundle.metrics['dev'][head]['macro_f1']:.3f}" in card


def test_training_learns(tiny_config):
    bundle = train(load_config(tiny_config, ["train.epochs=25"]))
    answers = Predictor(bundle.path).predict([row[0] for row in ROWS])
    right = sum(a.labels["claim_type"] == row[1] for a, row in zip(answers, ROWS, strict=True))
    assert right >= 8


def test_one_seed_gives_one_model(tiny_config, tmp_path):
    texts = [row[0] for row in ROWS]
    first, second = (
        Predictor(train(load_config(tiny_config, [f"output={tmp_path / name}"])).path).logits(texts)
        for name in ("one", "two")
    )
    for head in HEADS:
        np.testing.assert_array_equal(first[head], second[head])


def test_a_stopped_run_resumes_and_ends_in_the_same_model(tiny_base, tmp_path):
    config = write_config(tmp_path, tiny_base)
    whole = train(load_config(config, [f"output={tmp_path / 'whole'}", "train.epochs=6"]))
    command = [sys.executable, "-m", "stance.cli", "train", str(config), "--set", "train.epochs=6"]
    stopped = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    log = tmp_path / "run" / "log.jsonl"
    deadline = time.monotonic() + 120
    while not log.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    stopped.send_signal(signal.SIGINT)
    _, err = stopped.communicate(timeout=120)
    if stopped.returncode == 0:
        pytest.skip("the run was over before the signal arrived")
    assert stopped.returncode == 130
    assert "--resume" in err.splitlines()[-1]
    resumed = subprocess.run([*command, "--resume"], capture_output=True, text=True, check=False)
    assert resumed.returncode == 0, resumed.stderr
    texts = [row[0] for row in ROWS]
    before = Predictor(whole.path).logits(texts)
    after = Predictor(tmp_path / "run" / "bundle").logits(texts)
    for head in HEADS:
        np.testing.assert_allclose(after[head], before[head], atol=1e-5)


def test_ctrl_c_in_the_last_measurement_is_not_lost(tiny_config):
    config = load_config(tiny_config, ["train.epochs=1"])

    def press(epoch, scores):
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted, match="--resume"):
        prepare(config).trainer.run(after_epoch=press)
    assert train(config, resume=True).heads


def test_resume_refuses_another_configuration(stance, tiny_config):
    assert stance("train", tiny_config).status == 0
    outcome = stance("train", tiny_config, "--resume", "--set", "train.seed=1")
    assert outcome.status == 1
    assert "another configuration" in outcome.err


def test_a_misspelt_baseline_is_refused_before_training(stance, tiny_config, tmp_path):
    outcome = stance("train", tiny_config, "--set", "export.baselines=[lexikon]")
    assert outcome.status == 1
    assert "cue lexicon" in outcome.err
    assert not (tmp_path / "run").exists()


def test_resume_refuses_weights_of_another_shape(stance, tiny_config):
    assert stance("train", tiny_config).status == 0
    weights = Path(load_config(tiny_config).output) / "checkpoint" / "model.safetensors"
    state = load_file(weights)
    state["heads.0.weight"] = state["heads.0.weight"][:-1].clone()
    save_file(state, weights)
    outcome = stance("train", tiny_config, "--resume")
    assert outcome.status == 1
    assert "another version of the model" in outcome.err
    assert len(outcome.err.strip().splitlines()[-1]) < 400


def test_a_crash_between_two_checkpoints_leaves_one(stance, tiny_config, tmp_path):
    assert stance("train", tiny_config).status == 0
    run = tmp_path / "run"
    (run / "checkpoint").rename(run / "checkpoint.old")
    outcome = stance("train", tiny_config, "--resume")
    assert outcome.status == 0, outcome.err
    assert {path.name for path in run.glob("checkpoint*")} == {"checkpoint"}


def test_resume_without_a_checkpoint(stance, tiny_config):
    outcome = stance("train", tiny_config, "--resume")
    assert (outcome.status, outcome.err.count("no checkpoint")) == (1, 1)


def test_fallback_is_announced_and_recorded(stance, tiny_config, tiny_base, tmp_path, offline):
    wanted = ["--set", "base.name=nobody/no-such-encoder", "--set", f"base.fallback={tiny_base}"]
    outcome = stance("train", tiny_config, *wanted)
    assert outcome.status == 0, outcome.err
    assert sum("cannot be reached" in line for line in outcome.err.splitlines()) == 1
    base = Bundle.load(tmp_path / "run" / "bundle").provenance["base"]
    found = {"requested": "nobody/no-such-encoder", "used": str(tiny_base)}
    revision = sha256(tiny_base / "model.safetensors")
    assert base == {**found, "weights": None, "revision": revision, "layers": 2}
    refused = stance("train", tiny_config, *wanted, "--no-fallback")
    assert refused.status == 1
    assert "--no-fallback" in refused.err


@pytest.fixture
def offline(monkeypatch):
    """As on a machine without the hub, but without waiting for it."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet"])
def test_any_table_with_any_columns_trains(suffix, tiny_config, tmp_path):
    file = tmp_path / f"mine.{suffix}"
    rows = [{"kalimat": row[0], "jenis": row[1]} for row in ROWS]
    rows[3]["jenis"] = ""  # a row that lacks the label
    if suffix == "parquet":
        import pyarrow as pa
        from pyarrow import parquet

        parquet.write_table(pa.Table.from_pylist(rows), file)
    else:
        with file.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(
                stream, ["kalimat", "jenis"], delimiter="\t" if suffix == "tsv" else ","
            )
            writer.writeheader()
            writer.writerows(rows)
    content = yaml.safe_load(tiny_config.read_text())
    content["heads"] = {"topic": {"labels": HEADS["claim_type"]["labels"], "column": "jenis"}}
    content["data"] = {"train": [str(file)], "dev": [str(file)], "text_column": "kalimat"}
    tiny_config.write_text(yaml.safe_dump(content, sort_keys=False))
    if suffix == "csv":
        with pytest.raises(DataError, match=r"mine\.csv:5: no label"):
            train(load_config(tiny_config))
        rows.pop(3)
        lines = file.read_text().splitlines()
        file.write_text("\n".join(lines[:4] + lines[5:]) + "\n")
    else:
        with pytest.raises(DataError, match="no label"):
            train(load_config(tiny_config))
        return
    assert train(load_config(tiny_config)).heads[0].name == "topic"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"text": "A", "certainty": "sure"}', "label 'sure' is not in the scheme of certainty"),
        ('{"text": "A", "certainty": 1}', "label 1 is not in the scheme"),
        ('{"text": "", "certainty": "denied"}', "no text"),
        ('{"text": "A"}', "no label"),
        ("{broken", "not valid JSON"),
        ("[]", "a row is a JSON object"),
    ],
)
def test_bad_rows_name_file_and_line(tiny_config, tmp_path, row, message):
    good = '{"text": "Ia membantah.", "certainty": "denied"}'
    file = tmp_path / "rows.jsonl"
    file.write_text(f"{good}\n{row}\n")
    with pytest.raises(DataError, match=r"rows\.jsonl:2: ") as error:
        read_dataset([str(file)], load_config(tiny_config).heads)
    assert message in str(error.value)


def test_the_graph_agrees_with_torch_at_every_shape(tiny_base, tmp_path):
    import onnxruntime as ort

    from training.config import HeadConfig
    from training.export import export_onnx
    from training.model import SentenceClassifier

    base, _ = load_base(BaseConfig(name=str(tiny_base), max_length=48))
    heads = {name: HeadConfig(**head) for name, head in HEADS.items()}
    model = SentenceClassifier(base.encoder, heads, ["cue"], "mean", 0.1).eval()
    outputs = [*heads, "cue"]
    export_onnx(model, list(heads), ["cue"], tmp_path / "model.onnx")
    session = ort.InferenceSession(str(tmp_path / "model.onnx"))
    generator = torch.Generator().manual_seed(0)
    for batch, length in [(1, 3), (1, 48), (2, 8), (5, 17)]:
        ids = torch.randint(5, 50, (batch, length), generator=generator)
        mask = torch.ones_like(ids)
        mask[-1, length - 1 :] = 0
        with torch.inference_mode():
            wanted = model(ids, mask)
        told = session.run(outputs, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
        for name, logits in zip(outputs, told, strict=True):
            np.testing.assert_allclose(logits, wanted[name].numpy(), atol=1e-4)


def test_int8_that_loses_too_much_is_not_shipped(tiny_config, tmp_path, monkeypatch):
    def ruin(source: Path, target: Path, method: str) -> None:
        import onnx
        from onnx import numpy_helper

        graph = onnx.load(source)
        for tensor in graph.graph.initializer:
            if "heads" in tensor.name:
                values = numpy_helper.to_array(tensor)
                tensor.CopyFrom(numpy_helper.from_array(np.zeros_like(values), tensor.name))
        onnx.save(graph, target)

    monkeypatch.setattr("training.export.quantize", ruin)
    overrides = ["train.epochs=25", "export.max_macro_f1_loss=0.01"]
    bundle = train(load_config(tiny_config, overrides))
    assert bundle.metrics["gate"]["passed"] is False
    assert bundle.metrics["gate"]["macro_f1_loss"]["claim_type"] > 0.01
    assert "float32" in (bundle.path / "README.md").read_text()
    assert bundle.metrics["dev"]["claim_type"]["macro_f1"] > 0.5


def test_a_failed_export_leaves_the_old_bundle(tiny_config, tmp_path, monkeypatch):
    bundle = train(load_config(tiny_config))
    before = (bundle.path / "bundle.json").read_bytes()

    def full_disk(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("training.export.quantize", full_disk)
    with pytest.raises(OSError, match="No space"):
        train(load_config(tiny_config))
    assert (bundle.path / "bundle.json").read_bytes() == before
    assert [path.name for path in bundle.path.parent.glob(".bundle-*")] == []


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_trains_on_a_gpu(stance, tiny_config):
    assert stance("train", tiny_config).status == 0


def test_the_embedded_base_agrees_with_the_original_engine():
    base, _ = load_base(BaseConfig(name=str(ROOT / "artifacts" / "base")))
    golden = json.loads((ROOT / "tests" / "golden" / "base_embeddings.json").read_text())
    for reference in golden["embeddings"]:
        encoded = base.tokenizer("query: " + reference["text"], return_tensors="pt")
        with torch.inference_mode():
            states = base.encoder(**encoded).last_hidden_state[0]
        embedding = torch.nn.functional.normalize(states.mean(0), dim=0).numpy()
        assert float(embedding @ np.array(reference["embedding"])) > 0.9995


def test_unused_scratch_is_removed(tiny_config, tmp_path):
    train(load_config(tiny_config))
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert left == {"best.safetensors", "bundle", "checkpoint", "log.jsonl"}
    shutil.rmtree(tmp_path / "run")
