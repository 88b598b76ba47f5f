"""`stance evaluate`: score a bundle on labelled sentences."""

from __future__ import annotations

from pathlib import Path

import click

from stance.extras import training_extra


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("data", nargs=-1, required=True)
@click.option("--baselines", metavar="TRAIN", multiple=True, help="Also fit baselines on TRAIN.")
def evaluate(bundle: Path, data: tuple[str, ...], baselines: tuple[str, ...]) -> None:
    """Score a bundle on labelled sentences (JSONL, CSV, TSV, Parquet)."""
    with training_extra():
        from training.evaluate import evaluate_bundle, print_evaluations
    print_evaluations(evaluate_bundle(bundle, data, baselines))
