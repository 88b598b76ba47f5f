"""`stance bench`: how fast a bundle is on this machine, beside what others would use."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from stance.extras import training_extra


@click.command()
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option("--model", type=click.Path(path_type=Path), help="Bundle folder. [default: shipped]")
@click.option("--peers", is_flag=True, help="Also time transformers pipelines and TF-IDF.")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1), help="Turns each.")
@click.option(
    "--seconds", default=2.0, show_default=True, type=click.FloatRange(0), help="Time per turn."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per contestant.")
def bench(
    files: tuple[str, ...],
    model: Path | None,
    peers: bool,
    rounds: int,
    seconds: float,
    as_json: bool,
) -> None:
    """Time a bundle on the sentences of FILEs, read as `predict` does; of data/test if none."""
    from stance.predictor import default_bundle
    from training.bench import Load, bench, load_bundle, print_speeds, sentences

    bundle = model or default_bundle()
    contestants: dict[str, Load] = {"stance": partial(load_bundle, bundle)}
    if peers:
        with training_extra():
            from training import peers as others
        contestants |= others.peers(bundle)
    texts = sentences(files or ("data/test",))
    print_speeds(bench(contestants, texts, rounds=rounds, seconds=seconds), as_json)
