"""Options of the fit: losses, regularisers, the choice of epoch, seeds, contradictions."""

from __future__ import annotations

import json

import pytest
from conftest import ROWS

from stance import Bundle

onnx = pytest.importorskip("onnx", reason="training needs the `train` extra")
torch = pytest.importorskip("torch", reason="training needs the `train` extra")


from stance.errors import DataError  # noqa: E402
from training.batches import MISSING  # noqa: E402
from training.config import HeadConfig, SpanConfig, TrainConfig, load_config  # noqa: E402
from training.corpus import read_dataset  # noqa: E402
from training.losses import BatchLoss, attacked, disagreement, watched  # noqa: E402
from training.precision import mixed_precision  # noqa: E402
from training.run import train  # noqa: E402
from training.train import best_scores  # noqa: E402


def loss(tiny_config, overrides, logits, target, shares=(0.5, 0.3, 0.2)):
    heads = ["heads={topic: {labels: [a, b, c]}}", "train.label_smoothing=0"]
    config = load_config(tiny_config, [*heads, *overrides])
    cost = BatchLoss(config, {"topic": torch.tensor(shares)}, torch.device("cpu"))
    return float(cost({"topic": torch.tensor(logits)}, {"topic": torch.tensor(target)}))


def test_focal_loss_turns_away_from_what_is_right(tiny_config):
    sure, wrong = [[6.0, 0.0, 0.0]], [[0.0, 3.0, 0.0]]
    focal = ["train.loss=focal", "train.focal_gamma=3"]
    for logits, low, high in [(sure, 0.0, 1e-4), (wrong, 0.8, 1.0)]:
        ratio = loss(tiny_config, focal, logits, [0]) / loss(tiny_config, [], logits, [0])
        assert low <= ratio <= high


def test_cross_entropy_is_torchs_own(tiny_config):
    logits, target = [[1.0, 0.2, -1.0], [0.3, 0.1, 2.0], [0.0, 0.0, 0.0]], [0, 1, MISSING]
    weights = ["train.class_weights=balanced", "train.label_smoothing=0.1"]
    got = loss(tiny_config, weights, logits, target)
    share = torch.tensor([0.5, 0.3, 0.2])
    wanted = torch.nn.functional.cross_entropy(
        torch.tensor(logits), torch.tensor(target), weight=1 / share / 3, label_smoothing=0.1
    )
    assert got == pytest.approx(float(wanted), rel=1e-5)


def test_rdrop_costs_nothing_where_the_halves_agree():
    one = torch.randn(3, 4)
    assert float(disagreement(torch.cat([one, one]))) == 0
    assert float(disagreement(torch.cat([one, one + torch.randn(3, 4)]))) > 0


def test_the_attack_raises_the_loss_and_leaves_no_trace():
    torch.manual_seed(0)
    embeddings, head = torch.nn.Embedding(10, 8), torch.nn.Linear(8, 2)
    ids, target = torch.tensor([[1, 2, 3], [4, 5, 6]]), torch.tensor([0, 1])

    def cost():
        return torch.nn.functional.cross_entropy(head(embeddings(ids).mean(1)), target)

    with watched(embeddings) as seen:
        before = cost()
    before.backward()
    clean = embeddings(ids)
    with attacked(embeddings, seen[0].grad, 0.5):
        assert cost() > before
        moved = (embeddings(ids) - clean).flatten(1).norm(dim=1)
    torch.testing.assert_close(moved, torch.full((2,), 0.5))
    assert cost() == before


@pytest.mark.parametrize(
    "options",
    [
        ["train.rdrop=1", "train.dropout=0.1"],
        ["train.adversarial=0.5"],
        ["train.loss=focal", "train.rdrop=0.5", "train.adversarial=0.5"],
        ["base.pooling=attention"],
        ["train.gradient_accumulation=3", "train.layer_decay=0.8", "base.pooling=cls"],
    ],
)
def test_a_fit_with_options_learns(options, tiny_config, tmp_path):
    rows = [
        {"text": r[0], **dict(zip(("claim_type", "certainty", "attribution"), r[1:], strict=True))}
        for r in ROWS
    ]
    for row in rows:
        row["cue"] = row["text"].split()[1]
    file = tmp_path / "spans.jsonl"
    file.write_text("\n".join(map(json.dumps, rows * 4)))
    data = [f"data.train=[{file}]", f"data.dev=[{file}]", "spans={cue: {}}"]
    fast = ["train.epochs=8", "train.head_learning_rate=0.01", "export.quantization=none"]
    bundle = train(load_config(tiny_config, [*options, *data, *fast]))
    log = (bundle.path.parent / "log.jsonl").read_text().splitlines()
    losses = [json.loads(line)["loss"] for line in log]
    assert losses[-1] < 0.9 * losses[0]


def test_one_heads_score_can_choose_the_epoch_and_stop_the_run(stance, tiny_config, tmp_path):
    options = ["train.epochs=40", "train.patience=1", "train.metric=certainty"]
    arguments = [part for option in options for part in ("--set", option)]
    outcome = stance("train", tiny_config, *arguments)
    assert outcome.status == 0, outcome.err
    epochs = [
        json.loads(line)["dev_f1"]["certainty"]
        for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    ]
    assert len(epochs) < 40
    assert epochs[-1] <= max(epochs[:-1])
    again = stance("train", tiny_config, *arguments, "--resume")  # there is nothing left to do
    assert again.status == 0, again.err
    assert len((tmp_path / "run" / "log.jsonl").read_text().splitlines()) == len(epochs)


def test_seeds_are_run_compared_and_the_best_kept(stance, tiny_config, tmp_path, monkeypatch):
    scored = []
    monkeypatch.setattr("training.run.beside", lambda *given: scored.append(given) or ())
    outcome = stance("train", tiny_config, "--seeds", 3)
    assert outcome.status == 0, outcome.err
    assert len(scored) == 1  # the baselines do not depend on the seed
    run = tmp_path / "run"
    summary = json.loads((run / "seeds.json").read_text())
    assert list(summary["dev_f1"]) == ["13", "14", "15"]
    means = {seed: sum(scores.values()) / len(scores) for seed, scores in summary["dev_f1"].items()}
    assert means[str(summary["best"])] == max(means.values())
    assert Bundle.load(run / "bundle").provenance["config"]["train"]["seed"] == summary["best"]
    assert summary["dev_f1"]["14"] == best_scores(run / "seed-14", "mean")
    assert "±" in outcome.out

    (run / "seed-15" / "bundle" / "bundle.json").unlink()
    finished = (run / "seed-14" / "bundle" / "bundle.json").stat().st_mtime_ns
    assert stance("train", tiny_config, "--seeds", 3, "--resume").status == 0
    assert (run / "seed-14" / "bundle" / "bundle.json").stat().st_mtime_ns == finished
    assert Bundle.load(run / "seed-15" / "bundle").heads


def test_seeds_of_fewer_files_are_not_kept(stance, tiny_config, tmp_path):
    folder = tmp_path / "more"
    folder.mkdir()
    rows = tmp_path / "rows.jsonl"
    (folder / "a.jsonl").write_text(rows.read_text())
    arguments = ("--seeds", 2, "--set", f"data.train=[{folder}]")
    assert stance("train", tiny_config, *arguments).status == 0
    (folder / "b.jsonl").write_text(rows.read_text().replace("Senin", "Selasa"))
    outcome = stance("train", tiny_config, *arguments, "--resume")
    assert outcome.status == 1  # its checkpoint is of other rows, and says so
    assert "b.jsonl" in outcome.err


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["train.patience=2"], "patience 2 can never stop a run of 2 epochs"),
        (["train.focal_gamma=1"], "focal_gamma is for loss: focal"),
        (["train.metric=certainly"], "'certainly' is none of mean, claim_type"),
        (["base.name=x", "base.fallback=x"], "fallback and name are both 'x'"),
        (["heads.certainty.merge={stated: alleged, alleged: denied}"], "merges away themselves"),
        (["heads.attribution.merge={named: none, unnamed: none, newsroom: none}"], "fewer than"),
        (["spans={certainty: {}}"], "both a head and a span"),
        (["heads.certainty.labels=[a, a]"], "all different"),
        (["data.text_pair_column=text"], "are both 'text'"),
    ],
)
def test_contradictions_are_refused(stance, tiny_config, overrides, message):
    arguments = [part for override in overrides for part in ("--set", override)]
    outcome = stance("train", tiny_config, *arguments)
    assert outcome.status == 1
    assert message in outcome.err.splitlines()[-1]


def test_bf16_is_refused_where_it_would_be_emulated(stance, tiny_config, monkeypatch):
    monkeypatch.setattr("training.precision.supports_bf16", lambda device: False)
    outcome = stance("train", tiny_config, "--set", "train.precision=bf16")
    assert outcome.status == 1
    assert "cannot compute" in outcome.err


@pytest.mark.parametrize(("gains", "precision"), [(True, "bf16"), (False, "no")])
def test_auto_precision_is_what_the_processor_gains_by(monkeypatch, gains, precision):
    monkeypatch.setattr("training.precision.supports_bf16", lambda device: True)
    monkeypatch.setattr("training.precision.gains_by_bf16", lambda device: gains)
    assert mixed_precision(TrainConfig()) == precision
    assert mixed_precision(TrainConfig(precision="bf16")) == "bf16"
    assert mixed_precision(TrainConfig(precision="fp32")) == "no"


def test_a_diverged_run_says_so_and_leaves_no_bundle(stance, tiny_config, tmp_path):
    outcome = stance("train", tiny_config, "--set", "train.head_learning_rate=1e30")
    assert outcome.status == 1
    assert "diverged" in outcome.err
    assert not (tmp_path / "run" / "bundle").exists()


def test_an_epoch_ends_with_an_update_however_few_batches_it_has(stance, tiny_config, tmp_path):
    options = ["train.gradient_accumulation=64", "train.epochs=12", "train.head_learning_rate=0.05"]
    arguments = [part for option in options for part in ("--set", option)]
    assert stance("train", tiny_config, *arguments).status == 0
    log = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    losses = [json.loads(line)["loss"] for line in log]
    assert losses[-1] < 0.9 * losses[0]  # without updates, there would be nothing to learn by


def test_a_checkpoint_of_other_rows_is_not_resumed(stance, tiny_config, tmp_path):
    assert stance("train", tiny_config).status == 0
    rows = tmp_path / "rows.jsonl"
    rows.write_text(rows.read_text().replace("Senin", "Selasa"))
    outcome = stance("train", tiny_config, "--resume")
    assert outcome.status == 1
    assert "other data" in outcome.err
    assert "rows.jsonl" in outcome.err


def test_a_span_that_no_row_has_is_refused(stance, tiny_config, tmp_path):
    outcome = stance("train", tiny_config, "--set", "spans={cue: {}}")
    assert outcome.status == 1
    assert "no row of data.train has the span 'cue'" in outcome.err


def test_spans_are_whole_words_where_they_can_be(tmp_path):
    rows = [
        {"text": "Katanya ia datang, kata Ratih.", "topic": "a", "cue": "kata", "group": ""},
        {"text": "Ia datang, katanya.", "topic": "b", "cue": "katanya", "group": 3},
    ]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    heads = {"topic": HeadConfig(labels=("a", "b"))}
    first, second = read_dataset([str(file)], heads, {"cue": SpanConfig()}).examples
    assert first.spans["cue"] == (19, 23)
    assert (first.group, second.group) == (None, "3")
    file.write_text(json.dumps({**rows[0], "cue": [0, 4]}))
    with pytest.raises(DataError, match="not words"):
        read_dataset([str(file)], heads, {"cue": SpanConfig()})
