"""A whole run: configuration in, bundle out."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from stance.bundle import Bundle
from training.base import Base, load_base
from training.batches import Batches
from training.config import Config
from training.corpus import Dataset, read_dataset
from training.export import export_bundle
from training.loop import run_console
from training.provenance import commit, versions
from training.train import Trainer


def train(
    config: Config, resume: bool = False, allow_fallback: bool = True, notes: str = ""
) -> Bundle:
    """Fine-tune, export and check a bundle; it ends in `<config.output>/bundle`.

    Args:
        config: the run.
        resume: go on from the run folder's checkpoint.
        allow_fallback: whether `base.fallback` may replace an unreachable `base.name`.
        notes: Markdown for the model card, below the table of the training data.

    Raises:
        ConfigError: the base cannot be loaded, or there is nothing to resume.
        DataError: a row of the data is not in the scheme.
        Interrupted: the run was stopped; its checkpoint is kept.
    """
    console = run_console()
    column, limit = config.data.text_column, config.data.limit
    data = read_dataset(config.data.train, config.heads, column, limit, config.spans)
    dev = read_dataset(config.data.dev, config.heads, column, limit, config.spans)
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
    folder = Path(config.output)
    trainer = Trainer(config, base, batches(data, size), batches(dev, 2 * size), folder, console)
    trainer.run(resume)
    console.print("exporting, quantising and checking the graph")
    bundle = export_bundle(
        trainer.model,
        base.tokenizer,
        config,
        dev.examples,
        _provenance(config, base, data, dev, notes),
        folder / "bundle",
    )
    console.print(f"bundle written to {bundle.path}")
    return bundle


def _provenance(
    config: Config, base: Base, data: Dataset, dev: Dataset, notes: str
) -> dict[str, Any]:
    return {
        "base": {"requested": base.requested, "used": base.used},
        "config": config.model_dump(mode="json"),
        "data": {
            "train": [asdict(file) for file in data.files],
            "dev": [asdict(file) for file in dev.files],
        },
        "versions": versions(),
        "commit": commit(),
        "notes": notes,
    }
