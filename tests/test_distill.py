"""Students of a bundle, and runs that start from a finished run."""

from __future__ import annotations

import pytest
from conftest import ROWS

from stance import Predictor

onnx = pytest.importorskip("onnx", reason="training needs the `train` extra")
torch = pytest.importorskip("torch", reason="training needs the `train` extra")

from safetensors.torch import load_file, save_file  # noqa: E402

from training.base import load_base  # noqa: E402
from training.config import EncoderConfig, load_config  # noqa: E402
from training.losses import imitation  # noqa: E402
from training.run import train  # noqa: E402


def test_imitation_is_nothing_of_oneself_and_grows_with_distance():
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    assert float(imitation(logits, logits, 2.0)) == pytest.approx(0, abs=1e-6)
    near, far = (float(imitation(logits + move, logits, 2.0)) for move in _moves(0.5, 2.0))
    assert 0 < near < far


def _moves(*lengths):
    return [torch.tensor([[0.0, length, 0.0]]) for length in lengths]


def test_a_student_of_fewer_layers_learns_its_teachers_answers(tiny_config, tiny_bundle, tmp_path):
    # Labels that say the opposite of the teacher: only the teacher can have taught its answers.
    teacher = Predictor(tiny_bundle)
    texts = [row[0] for row in ROWS]
    told = [{head: p[head].fine_label for head in p.heads} for p in teacher.predict(texts)]
    options = [
        f"distill={{teacher: {tiny_bundle}, layers: 1, weight: 1.0}}",
        "train.epochs=60",
        "export.quantization=none",
    ]
    bundle = train(load_config(tiny_config, options))
    graph = onnx.load(bundle.path / "model.onnx")
    names = {part for node in graph.graph.node for part in node.name.split("/")}
    assert {name for name in names if name.startswith("layer.")} == {"layer.0"}
    student = Predictor(bundle.path).predict(texts)
    same = [
        p[head].fine_label == label
        for p, row in zip(student, told, strict=True)
        for head, label in row.items()
    ]
    assert sum(same) / len(same) > 0.8


def test_a_finished_run_is_a_base(stance, tiny_config, tiny_base, tmp_path):
    run = tmp_path / "first"
    options = ["distill=null", f"output={run}"]
    train(load_config(tiny_config, options))
    student = ["--set", f"base.name={run}", "--set", "export.quantization=none"]
    student += ["--set", f"distill={{teacher: {run / 'bundle'}, layers: 1}}"]
    outcome = stance("train", tiny_config, *student, "--output", tmp_path / "student")
    assert outcome.status == 0, outcome.err
    assert "fine-tuned" in (tmp_path / "student" / "bundle" / "README.md").read_text()
    # The student's run is a base in its turn, of one layer, and so is what starts from it.
    third = [*options[:1], f"output={tmp_path / 'third'}", f"base.name={tmp_path / 'student'}"]
    train(load_config(tiny_config, [*third, "export.quantization=none"]))
    (origin, _), (first, _), (second, _), (last, _) = (
        load_base(EncoderConfig(name=str(name), max_length=32))
        for name in (tiny_base, run, tmp_path / "student", tmp_path / "third")
    )
    assert (origin.weights, first.used) == (None, str(tiny_base))
    best = load_file(run / "best.safetensors")
    assert first.weights
    for name, weight in first.encoder.state_dict().items():
        assert torch.equal(weight, best[f"encoder.{name}"])
    layers = [len(base.encoder.encoder.layer) for base in (origin, first, second, last)]
    assert layers == [2, 2, 1, 1]
    # A run that was begun anew in the folder has not got to its bundle.
    save_file({**best, "heads.0.bias": best["heads.0.bias"] + 1}, run / "best.safetensors")
    outcome = stance("train", tiny_config, *student, "--output", tmp_path / "late")
    assert (outcome.status, "no finished run" in outcome.err) == (1, True)
    outcome = stance("train", tiny_config, "--set", f"base.name={run}", "--output", run)
    assert (outcome.status, "would delete its base" in outcome.err) == (1, True)


def test_a_run_that_never_finished_is_no_base(stance, tiny_config, tiny_base, tmp_path):
    (tmp_path / "best.safetensors").touch()
    outcome = stance("train", tiny_config, "--set", f"base.name={tmp_path}")
    assert outcome.status == 1
    assert "no finished run" in outcome.err


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        ("distill={teacher: nowhere}", "nowhere"),
        ("distill={teacher: BUNDLE, layers: 9}", "only 2 layers"),
        ("heads.attribution.labels=[named, newsroom, unnamed, none]", "no head 'attribution'"),
    ],
)
def test_a_teacher_that_cannot_teach_is_refused(
    option, complaint, stance, tiny_config, tiny_bundle, tmp_path
):
    chosen = ["--set", "distill={teacher: BUNDLE}".replace("BUNDLE", str(tiny_bundle))]
    chosen += ["--set", option.replace("BUNDLE", str(tiny_bundle))]
    outcome = stance("train", tiny_config, *chosen)
    assert outcome.status != 0
    assert complaint in outcome.err
    assert outcome.err.count("\nstance:") + outcome.err.startswith("stance:") == 1
