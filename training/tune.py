"""Hyperparameter search: a configuration with a `tune` section in, the best one out.

The study lives in the run folder and goes on where it stopped: `study.log` (Optuna's journal of all
trials) and `sampler.pkl` (the sampler and its random state, so that the search draws what it would
have drawn). It ends in `best.yaml`, ready for `stance train`, `history.svg` and `importance.svg`.
"""

from __future__ import annotations

import pickle
import shutil
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import matplotlib
import optuna
import torch
import yaml
from accelerate import PartialState
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState
from optuna.visualization.matplotlib import plot_optimization_history, plot_param_importances
from rich.console import Console
from rich.table import Table

from stance.errors import ConfigError, Interrupted
from stance.writers import opened
from training.config import Config, Range, TuneConfig
from training.loop import DivergedError, run_console
from training.run import prepare
from training.schema import assign, validated
from training.train import chosen

_PRUNERS = {
    # Four trials to compare with, and an epoch to get going.
    "median": lambda: optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=1),
    # Li et al. 2018: of the trials that reach 1, 2, 4... epochs, the better half goes on.
    "halving": lambda: optuna.pruners.SuccessiveHalvingPruner(reduction_factor=2),
    "none": optuna.pruners.NopPruner,
}
_SAMPLERS = {"tpe": TPESampler, "random": RandomSampler}
_OVER = (TrialState.COMPLETE, TrialState.PRUNED)


def tune(config: Config, allow_fallback: bool = True) -> Path:
    """Search `tune.space` for the best dev score by `train.metric`; returns the best configuration.

    A study that was begun under the same configuration goes on; its number of trials and its time
    may differ.

    Raises:
        ConfigError: the configuration has no search or one that cannot be, or the run folder holds
            another study.
        DataError: a row of the data is not in the scheme.
        Interrupted: the search was stopped; its trials are kept.
    """
    if config.tune is None:
        raise ConfigError("the configuration has no tune section: say there what to search")
    if PartialState().num_processes > 1:
        raise ConfigError("a search runs in one process: start it without accelerate launch")
    if "train.precision" in config.tune.space:
        raise ConfigError("train.precision cannot be searched: a process computes in one precision")
    settings, folder = config.tune, Path(config.output)
    for name, choice in settings.space.items():
        for value in (choice.low, choice.high) if isinstance(choice, Range) else choice:
            _with_values(config, {name: value}, folder)  # an impossible value is found out at once
    study = _study(config, settings, folder)
    console = run_console()

    def objective(trial: Trial) -> float:
        values = {name: _suggest(trial, name, one) for name, one in settings.space.items()}
        shown = ", ".join(f"{name} {value}" for name, value in values.items())
        console.print(f"trial {trial.number}: {shown}")
        run_folder = folder / f"trial-{trial.number}"
        try:
            one = _with_values(config, values, run_folder)
        except ConfigError as error:  # each value is possible, but not beside the others
            console.print(f"trial {trial.number} cannot be: {error}")
            raise optuna.TrialPruned from None
        run = prepare(one, allow_fallback)
        _same_inputs(study, settings, run.inputs)
        best = 0.0

        def report(epoch: int, scores: Mapping[str, float]) -> None:
            nonlocal best
            score = chosen(scores, config.train.metric)
            best = max(best, score)
            trial.report(score, epoch)
            if trial.should_prune():
                console.print(f"trial {trial.number} is behind: stopping it")
                raise optuna.TrialPruned

        try:
            run.trainer.run(after_epoch=report)
        except Interrupted:
            raise Interrupted(
                f"stopped in trial {trial.number}; run the same command again to go on"
            ) from None
        except (DivergedError, torch.OutOfMemoryError) as error:
            # It is over, as the sampler has to see: of a failed one it draws the values again.
            console.print(f"trial {trial.number} failed: {str(error).splitlines()[0]}")
            raise optuna.TrialPruned from None
        finally:
            shutil.rmtree(run_folder, ignore_errors=True)  # weights of every trial would fill disks
        return best

    def keep_sampler(study: optuna.Study, trial: FrozenTrial) -> None:
        _write_sampler(study.sampler, folder)

    over = study.get_trials(deepcopy=False, states=_OVER)
    spent = sum(trial.duration.total_seconds() for trial in over if trial.duration)
    left = None if settings.timeout_minutes is None else 60 * settings.timeout_minutes - spent
    if len(over) < settings.trials and (left is None or left > 0):
        study.optimize(
            objective,
            n_trials=settings.trials - len(over),
            timeout=left,
            callbacks=[keep_sampler],
        )
    return _conclude(study, config, folder, console)


def _suggest(trial: Trial, name: str, choice: Range | tuple[Any, ...]) -> Any:
    if not isinstance(choice, Range):
        return trial.suggest_categorical(name, choice)
    if isinstance(choice.low, int) and isinstance(choice.high, int):
        return trial.suggest_int(name, choice.low, choice.high, log=choice.log)
    return trial.suggest_float(name, choice.low, choice.high, log=choice.log)


def _content(config: Config, values: Mapping[str, Any], output: Path) -> dict[str, Any]:
    """What the configuration's file said, with other values, and without the search."""
    content = config.model_dump(mode="json", exclude_unset=True, exclude={"tune"})
    for name, value in values.items():
        assign(content, name, value)
    return {**content, "output": str(output)}


def _with_values(config: Config, values: Mapping[str, Any], output: Path) -> Config:
    told = ", ".join(f"{name}={value}" for name, value in values.items())
    return validated(_content(config, values, output), Config, f"tune.space, {told}")


def _study(config: Config, settings: TuneConfig, folder: Path) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    folder.mkdir(parents=True, exist_ok=True)
    stored = folder / "sampler.pkl"
    sampler: BaseSampler
    if stored.is_file():
        sampler = pickle.loads(stored.read_bytes())  # written by `_write_sampler`, in our folder
    else:
        with warnings.catch_warnings(action="ignore"):
            sampler = _SAMPLERS[settings.sampler](seed=settings.seed)
        _write_sampler(sampler, folder)
    study = optuna.create_study(
        study_name="stance",
        storage=JournalStorage(JournalFileBackend(str(folder / "study.log"))),
        sampler=sampler,
        pruner=_PRUNERS[settings.pruner](),
        direction="maximize",
        load_if_exists=True,
    )
    made = config.model_dump(
        mode="json", exclude={"output": True, "tune": {"trials", "timeout_minutes"}}
    )
    if study.user_attrs.get("config", made) != made:
        raise ConfigError(f"{folder} holds a study of another configuration; choose another output")
    study.set_user_attr("config", made)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)  # it was killed
    return study


def _same_inputs(study: optuna.Study, settings: TuneConfig, inputs: Mapping[str, str]) -> None:
    """Compare what a trial has read with what the trials before had, of what none may choose.

    Raises:
        ConfigError: something has changed: their scores cannot be compared.
    """
    searched = any(name.startswith(("base.", "distill.")) for name in settings.space)
    varying = ("base", "base.revision", "weights", "teacher") if searched else ()
    fixed = {name: value for name, value in inputs.items() if name not in varying}
    known = study.user_attrs.get("inputs", {})
    if changed := sorted(name for name in fixed if known.get(name, fixed[name]) != fixed[name]):
        raise ConfigError(
            f"the study began with other data than is there now ({', '.join(changed)}); "
            "put it back, or choose another output"
        )
    study.set_user_attr("inputs", {**known, **fixed})


def _write_sampler(sampler: BaseSampler, folder: Path) -> None:
    fresh = folder / "sampler.pkl.new"
    fresh.write_bytes(pickle.dumps(sampler))
    fresh.replace(folder / "sampler.pkl")


def _conclude(study: optuna.Study, config: Config, folder: Path, console: Console) -> Path:
    """Print the best values, write them as a configuration, and draw the plots."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not complete:
        raise ConfigError("no trial came to an end: give the search more time or other values")
    pruned = len(study.get_trials(deepcopy=False, states=(TrialState.PRUNED,)))
    best = study.best_trial
    told = f"{len(complete)} whole trials, {pruned} stopped early; dev {config.train.metric} F1"
    table = Table("key", "best value", title=f"{told} {best.value:.4f} in trial {best.number}")
    for name, value in best.params.items():
        table.add_row(name, f"{value:.4g}" if isinstance(value, float) else str(value))
    Console().print(table)
    target = folder / "best.yaml"
    with opened(target) as stream:
        stream.write(f"# The best of {told} {best.value:.4f}.\n")
        content = _content(config, best.params, folder / "best")
        yaml.safe_dump(content, stream, sort_keys=False, allow_unicode=True)
    _plot(study, folder, console)
    console.print(f"written to {target}: stance train {target}")
    return target


def _plot(study: optuna.Study, folder: Path, console: Console) -> None:
    plots: dict[str, Callable[[optuna.Study], Axes]] = {
        "history": plot_optimization_history,
        "importance": plot_param_importances,
    }
    for name, plot in plots.items():
        try:
            # Optuna calls its matplotlib plots experimental.
            with warnings.catch_warnings(action="ignore"), matplotlib.rc_context():
                matplotlib.use("Agg")  # no window, on any machine
                figure = cast(Figure, plot(study).figure)
                figure.savefig(folder / f"{name}.svg", bbox_inches="tight")
        except (RuntimeError, ValueError) as error:
            # Importance needs several trials that differ in their scores.
            console.print(f"no {name} plot: {' '.join(str(error).split())}")
