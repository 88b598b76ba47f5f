"""A whole run: configuration in, bundle out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from accelerate import PartialState
from rich.console import Console
from rich.table import Table

from stance.bundle import MODEL, Bundle, replacing, sha256
from stance.errors import BundleError, DataError
from stance.writers import opened
from training.base import Base, load_base
from training.batches import Batches
from training.config import Config
from training.corpus import Dataset, Example, read_dataset
from training.distill import keep_layers, teacher_logits
from training.evaluate import beside, known_baselines
from training.export import export_bundle
from training.loop import BEST, SEEDS, begun, run_console
from training.provenance import commit, versions
from training.rows import data_files
from training.scores import SystemScore
from training.train import Trainer, best_scores, chosen


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run that is ready to start.

    `inputs` is what was read, as `Loop` takes it, `teacher` the sha256 of a teacher's graph.
    """

    trainer: Trainer
    base: Base
    data: Dataset
    dev: Dataset
    inputs: Mapping[str, str]
    teacher: str | None


# Scores a run's baselines on its dev rows: `beside`, or a form of it.
ScoreBaselines = Callable[[Config, Sequence[Example], Sequence[Example]], tuple[SystemScore, ...]]


def train(
    config: Config,
    resume: bool = False,
    allow_fallback: bool = True,
    notes: str = "",
    baselines: ScoreBaselines = beside,
) -> Bundle:
    """Fine-tune, export and check a bundle; it ends in `<config.output>/bundle`.

    Args:
        config: the run.
        resume: go on from the run folder's checkpoint.
        allow_fallback: whether `base.fallback` may replace an unreachable `base.name`.
        notes: Markdown for the model card, below the table of the training data.
        baselines: scores those that the card shows; they do not depend on the seed.

    Raises:
        ConfigError: the base cannot be loaded, or there is nothing to resume.
        DataError: a row of the data is not in the scheme.
        BundleError: the teacher of a distillation cannot be loaded.
        Interrupted: the run was stopped; its checkpoint is kept.
    """
    run = prepare(config, allow_fallback)
    run.trainer.run(resume)
    folder = Path(config.output) / "bundle"
    state = PartialState()
    if state.is_main_process:
        console = run_console()
        console.print("exporting, quantising and checking the graph")
        export_bundle(
            run.trainer.model,
            run.base.tokenizer,
            config,
            run.data.examples,
            run.dev.examples,
            baselines(config, run.data.examples, run.dev.examples),
            _provenance(config, run, notes),
            folder,
        )
        console.print(f"bundle written to {folder}")
    state.wait_for_everyone()
    return Bundle.load(folder)


def prepare(config: Config, allow_fallback: bool = True) -> Prepared:
    """Read the data, load the base and set up the trainer, as `train` does."""
    console = run_console()
    data = read_dataset(config.data.train, config.heads, config.spans, config.data)
    dev = read_dataset(config.data.dev, config.heads, config.spans, config.data)
    _check_heads(config, data, dev)
    known_baselines(config.export.baselines)  # a misspelt one must not end a finished training
    base, notice = load_base(config.base, allow_fallback)
    if notice:
        console.print(notice)
    rows = f"{len(data.examples):,} rows to train on, {len(dev.examples):,} to choose on"
    console.print(f"{base.used}: {base.encoder.num_parameters() / 1e6:.1f} M parameters; {rows}")

    def batches(part: Dataset, size: int) -> Batches:
        return Batches(
            part.examples,
            config.heads,
            list(config.spans),
            base.tokenizer,
            config.base.max_length,
            size,
        )

    size = config.train.batch_size
    parts = batches(data, size), batches(dev, 2 * size)
    inputs = {**base.inputs, **{f.path: f.sha256 for f in (*data.files, *dev.files)}}
    teacher = None
    if config.distill:
        keep_layers(base.encoder, config.distill.layers)
        parts[0].imitate(teacher_logits(config, data, console))
        teacher = inputs["teacher"] = sha256(Path(config.distill.teacher) / MODEL)
    trainer = Trainer(config, base, *parts, inputs, Path(config.output), console)
    return Prepared(trainer, base, data, dev, inputs, teacher)


def train_seeds(
    config: Config,
    seeds: int,
    resume: bool = False,
    allow_fallback: bool = True,
    notes: str = "",
) -> Bundle:
    """Run `train` under several seeds, tell how far they differ, and keep the best one's bundle.

    The seeds count up from `train.seed`; each has a run folder `<config.output>/seed-N` of its own,
    so that `resume` goes on with the first that is not finished. `seeds.json` keeps the scores of
    each seed's best epoch. The best seed is chosen as the best epoch is, by `train.metric`.

    Raises:
        ConfigError, DataError, Interrupted: as `train`.
    """
    folder = Path(config.output)
    scores = {}
    baselines = _once(beside)
    for seed, one in by_seed(config, seeds).items():
        if not (resume and _finished(one)):
            train(one, resume and begun(Path(one.output)), allow_fallback, notes, baselines)
        scores[seed] = best_scores(Path(one.output), config.train.metric)
    best = max(scores, key=lambda seed: chosen(scores[seed], config.train.metric))
    state = PartialState()
    if state.is_main_process:
        with replacing(folder / "bundle") as fresh:
            shutil.copytree(folder / f"seed-{best}" / "bundle", fresh, dirs_exist_ok=True)
        with opened(folder / SEEDS) as stream:
            json.dump({"best": best, "dev_f1": scores}, stream, indent=2)
        _print_seeds(scores, best)
    state.wait_for_everyone()
    return Bundle.load(folder / "bundle")


def _once(score: ScoreBaselines) -> ScoreBaselines:
    """The same for every seed, which all have one set of rows: TF-IDF of 50,000 takes minutes."""
    known: list[tuple[SystemScore, ...]] = []

    def scored(
        config: Config, rows: Sequence[Example], dev: Sequence[Example]
    ) -> tuple[SystemScore, ...]:
        if not known:
            known.append(score(config, rows, dev))
        return known[0]

    return scored


def by_seed(config: Config, seeds: int) -> dict[int, Config]:
    """The same run under `seeds` seeds from `train.seed` up, each with a folder of its own."""
    return {
        seed: config.model_copy(
            update={
                "output": str(Path(config.output) / f"seed-{seed}"),
                "train": config.train.model_copy(update={"seed": seed}),
            }
        )
        for seed in range(config.train.seed, config.train.seed + seeds)
    }


def _finished(config: Config) -> bool:
    try:
        bundle = Bundle.load(Path(config.output) / "bundle")
    except BundleError:
        return False
    made = bundle.provenance
    files = [file for part in made.get("data", {}).values() for file in part]
    read = {Path(file["path"]): file["sha256"] for file in files}
    if set(read) != {*data_files(config.data.train), *data_files(config.data.dev)}:
        return False  # a folder of them has got another file, or lost one
    if weights := made["base"].get("weights"):
        read[Path(config.base.name) / BEST] = weights
    if config.distill:
        read[Path(config.distill.teacher) / MODEL] = (made.get("teacher") or {}).get("sha256")
    return made.get("config") == config.model_dump(mode="json") and all(
        path.is_file() and sha256(path) == digest for path, digest in read.items()
    )


def _print_seeds(scores: Mapping[int, Mapping[str, float]], best: int) -> None:
    names = list(scores[best])
    table = Table("dev F1", *(name.replace("_", " ") for name in names))
    for seed, row in scores.items():
        mark = " (kept)" if seed == best else ""
        table.add_row(f"seed {seed}{mark}", *(f"{row[name]:.3f}" for name in names))
    if len(scores) > 1:
        columns = [[row[name] for row in scores.values()] for name in names]
        cells = (f"{fmean(column):.3f} ± {stdev(column):.3f}" for column in columns)
        table.add_row("mean ± deviation", *cells)
    Console().print(table)


def _check_heads(config: Config, data: Dataset, dev: Dataset) -> None:
    for part, rows in (("train", data), ("dev", dev)):
        for name, head in config.heads.items():
            if not any(name in example.labels for example in rows.examples):
                raise DataError(
                    f"no row of data.{part} has a label of {name!r} in column "
                    f"{head.column or name!r}"
                )
        for name, span in config.spans.items():
            # Untrained, it would point at words at random, and dev would not show it.
            if not any(name in example.spans for example in rows.examples):
                raise DataError(
                    f"no row of data.{part} has the span {name!r} in column "
                    f"{span.column or name!r}; take it out of `spans`"
                )


def _provenance(config: Config, run: Prepared, notes: str) -> dict[str, Any]:
    distill = config.distill
    return {
        "base": {
            "requested": run.base.requested,
            "used": run.base.used,
            "weights": run.base.weights,
            "revision": run.base.revision,
            "layers": run.base.encoder.config.num_hidden_layers,
        },
        "weights": sha256(Path(config.output) / BEST),
        "teacher": distill and {"path": distill.teacher, "sha256": run.teacher},
        "config": config.model_dump(mode="json"),
        "data": {
            "train": [asdict(file) for file in run.data.files],
            "dev": [asdict(file) for file in run.dev.files],
        },
        "versions": versions(),
        "commit": commit(),
        "notes": notes,
    }
