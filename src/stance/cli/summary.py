"""`stance summary`: condense an article to who says what."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("file", metavar="FILE")
@click.option("--model", type=click.Path(path_type=Path), help="Bundle folder. [default: shipped]")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="A table for people or JSON for programs.",
)
@click.option(
    "--link-sources/--no-link-sources",
    "link",
    default=True,
    show_default=True,
    help="Link «katanya», «Kirby» and long quotations to the full name that stands before.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write to a file, whole or not at all.",
)
@click.option("--threads", type=click.IntRange(1), help="Worker threads. [default: all cores]")
def summary(
    file: str, model: Path | None, form: str, link: bool, output: Path | None, threads: int | None
) -> None:
    """Condense an article: what each source confirms, states, alleges, denies and predicts.

    FILE is one article as UTF-8 text; - reads standard input.
    """
    import json

    from stance.predictor import Predictor
    from stance.readers import read_lines
    from stance.sources import encodable
    from stance.summary import check_bundle, print_summary, summarise
    from stance.writers import opened

    predictor = Predictor(model, threads)
    check_bundle(predictor.bundle)
    condensed = summarise(list(predictor.analyze_lines(read_lines(file))), link)
    with opened(output) as stream:
        if form == "json":
            record = {"file": encodable(file), **condensed.to_dict()}
            stream.write(json.dumps(record, ensure_ascii=False, indent=2) + "\n")
        else:
            print_summary(condensed, file, stream)
