"""`stance predict`: label every sentence of text files."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--model", type=click.Path(path_type=Path), help="Bundle folder. [default: shipped]")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "jsonl"]),
    default="table",
    show_default=True,
    help="A table for people or JSON Lines for programs.",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Write to a file, whole or not at all."
)
@click.option("--threads", type=click.IntRange(1), help="Worker threads. [default: all cores]")
def predict(
    files: tuple[str, ...], model: Path | None, form: str, output: Path | None, threads: int | None
) -> None:
    """Label every sentence of UTF-8 text files; `-` reads standard input."""
    from stance.predictor import Predictor
    from stance.readers import read_lines
    from stance.writers import opened, write_jsonl, write_table

    write = write_jsonl if form == "jsonl" else write_table
    predictor = Predictor(model, threads)
    with opened(output) as stream:
        for file in files:
            write(file, predictor.analyze_lines(read_lines(file)), stream)
