from __future__ import annotations

from pathlib import Path

import optuna
import pytest
import yaml
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

torch = pytest.importorskip("torch", reason="training needs the `train` extra")

from stance.errors import Interrupted  # noqa: E402
from training.config import load_config  # noqa: E402
from training.tune import tune  # noqa: E402

SPACE = {
    "train.learning_rate": {"low": 1e-5, "high": 1e-2, "log": True},
    "train.batch_size": {"low": 4, "high": 8},
    "train.class_weights": ["none", "sqrt"],
}


@pytest.fixture
def config(tiny_config: Path) -> Path:
    content = yaml.safe_load(tiny_config.read_text())
    content["tune"] = {"trials": 4, "pruner": "none", "space": SPACE}
    tiny_config.write_text(yaml.safe_dump(content, sort_keys=False))
    return tiny_config


def trials(folder: Path) -> list[optuna.trial.FrozenTrial]:
    storage = JournalStorage(JournalFileBackend(str(folder / "study.log")))
    return optuna.load_study(study_name="stance", storage=storage).trials


def test_the_best_values_are_printed_written_and_drawn(stance, config, tmp_path):
    outcome = stance("tune", config)
    assert outcome.status == 0, outcome.err
    found = trials(tmp_path / "run")
    best = max(found, key=lambda trial: trial.value)
    assert f"{best.value:.4f}" in outcome.out
    assert all(name in outcome.out for name in SPACE)
    written = load_config(tmp_path / "run" / "best.yaml")
    assert written.train.learning_rate == best.params["train.learning_rate"]
    assert written.train.batch_size == best.params["train.batch_size"]
    assert written.tune is None
    plots = {path.name for path in (tmp_path / "run").glob("*.svg")}
    assert plots == {"history.svg", "importance.svg"}
    assert not list((tmp_path / "run").glob("trial-*"))

    again = stance("tune", config)  # nothing is left to do
    assert again.status == 0
    assert len(trials(tmp_path / "run")) == len(found)


def test_a_stopped_search_goes_on_as_if_it_had_not(config, tmp_path, monkeypatch):
    tune(load_config(config, [f"output={tmp_path / 'whole'}"]))
    whole = [trial.params for trial in trials(tmp_path / "whole")]

    from training.train import Trainer

    run, calls = Trainer.run, []

    def interrupted(self, *args, **kwargs):
        calls.append(self)
        if len(calls) == 3:
            raise Interrupted("stopped")
        return run(self, *args, **kwargs)

    monkeypatch.setattr(Trainer, "run", interrupted)
    with pytest.raises(Interrupted, match="stopped in trial 2; run the same command again"):
        tune(load_config(config))
    tune(load_config(config))
    found = trials(tmp_path / "run")
    assert [t.state.name for t in found] == ["COMPLETE", "COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert [t.params for t in found if t.state.name == "COMPLETE"] == whole


def test_trials_that_are_behind_stop_early(config, tmp_path):
    overrides = ["train.epochs=3", "tune.trials=8", "tune.pruner=halving"]
    overrides.append("tune.space={train.learning_rate: [1.0e-9, 3.0e-3]}")
    tune(load_config(config, overrides))
    found = trials(tmp_path / "run")
    states = [trial.state.name for trial in found]
    assert len(states) == 8
    assert "PRUNED" in states
    assert all(len(t.intermediate_values) < 3 for t in found if t.state.name == "PRUNED")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["tune=null"], "no tune section"),
        (["tune.space={train.lerning_rate: [1, 2]}"], "did you mean 'train.learning_rate'"),
        (["tune.space={train.dropout: {low: 0.1, high: 2}}"], "train.dropout=2"),
        (["tune.space={train.dropout: {low: 0.2, high: 0.1}}"], "0.2 is not below high 0.1"),
        (["tune.space={}"], "at least 1"),
        (["tune.pruner=mean"], "'median', 'halving' or 'none'"),
    ],
)
def test_mistakes_are_one_line(stance, config, overrides, message):
    outcome = stance("tune", config, *(part for one in overrides for part in ("--set", one)))
    assert outcome.status == 1
    assert message in outcome.err.splitlines()[-1]


def test_another_study_is_not_mixed_in(stance, config):
    assert stance("tune", config, "--set", "tune.trials=1").status == 0
    assert stance("tune", config, "--set", "tune.trials=2").status == 0
    outcome = stance("tune", config, "--set", "train.epochs=1")
    assert outcome.status == 1
    assert "study of another configuration" in outcome.err


def test_a_study_does_not_go_on_with_other_rows(stance, config, tmp_path):
    assert stance("tune", config, "--set", "tune.trials=1").status == 0
    rows = tmp_path / "rows.jsonl"
    rows.write_text(rows.read_text().replace("Senin", "Selasa"))
    outcome = stance("tune", config, "--set", "tune.trials=2")
    assert outcome.status == 1
    assert "rows.jsonl" in outcome.err.splitlines()[-1]


def test_a_trial_that_diverges_does_not_end_the_search(stance, config, tmp_path):
    space = "tune.space={train.learning_rate: [1.0e-3, 1.0e+35]}"
    outcome = stance("tune", config, "--set", space, "--set", "tune.trials=6")
    assert outcome.status == 0, outcome.err
    states = {t.params["train.learning_rate"]: t.state.name for t in trials(tmp_path / "run")}
    assert states == {1e-3: "COMPLETE", 1e35: "PRUNED"}
    assert "the loss is" in outcome.err


def test_values_that_cannot_stand_together_end_a_trial_not_the_search(stance, config, tmp_path):
    content = yaml.safe_load(config.read_text())
    content["tune"]["space"] = {
        "train.loss": ["cross_entropy", "focal"],
        "train.focal_gamma": {"low": 1.0, "high": 4.0},
    }
    content["tune"]["trials"] = 6
    content["train"]["loss"] = "focal"
    config.write_text(yaml.safe_dump(content, sort_keys=False))
    outcome = stance("tune", config)
    assert outcome.status == 0, outcome.err
    states = {trial.state for trial in trials(tmp_path / "run")}
    assert states == {optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED}
