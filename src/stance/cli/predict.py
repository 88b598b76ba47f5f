"""`stance predict`: label every sentence of files."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TextIO

import click

from stance import __version__

_FORMATS = ("table", "jsonl", "csv", "parquet", "html")


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--model", type=click.Path(path_type=Path), help="Bundle folder. [default: shipped]")
@click.option(
    "--format",
    "form",
    type=click.Choice(_FORMATS),
    help="What to write. [default: what OUTPUT's name ends in, else table]",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write to a file, whole or not at all.",
)
@click.option(
    "--input-format",
    type=click.Choice(["text", "jsonl", "csv", "tsv", "parquet"]),
    help="Read every file as this. [default: by its name, else text]",
)
@click.option(
    "--text-column", default="text", show_default=True, help="Column of the text, in rows."
)
@click.option("--keep", multiple=True, metavar="COLUMN", help="Carry a column along; repeatable.")
@click.option("--abstain", is_flag=True, help="Say `uncertain` where the model is not sure enough.")
@click.option(
    "--explain",
    "explained",
    is_flag=True,
    help="Show cue, source, and the certainty's probability without the cue (table, jsonl).",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Keep what is done in OUTPUT.partial; go on from there if the run was stopped.",
)
@click.option("--threads", type=click.IntRange(1), help="Worker threads. [default: all cores]")
def predict(
    files: tuple[str, ...],
    model: Path | None,
    form: str | None,
    output: Path | None,
    input_format: str | None,
    text_column: str,
    keep: tuple[str, ...],
    abstain: bool,
    explained: bool,
    resume: bool,
    threads: int | None,
) -> None:
    """Label every sentence of texts and tables.

    A FILE is UTF-8 text or, by its name, .jsonl, .csv, .tsv or .parquet with a text per row; all
    but .parquet may end in .gz. A folder stands for the files in it, a quoted pattern like
    'news/*.txt' for those that match, and - for standard input.
    """
    from stance.bulk import label, resumable, with_progress
    from stance.explain import check_bundle, explain
    from stance.predictor import Predictor
    from stance.readers import read
    from stance.sources import STDIN, encodable, find_sources
    from stance.writers import (
        flat_columns,
        opened,
        write_csv,
        write_html,
        write_jsonl,
        write_parquet,
        write_table,
    )

    ending = output.suffix[1:] if output else ""
    if not form and ending not in ("", "txt", *_FORMATS):
        known = ", ".join(f".{one}" for one in _FORMATS if one != "table")
        raise click.UsageError(f"-o {output}: end it in {known} or .txt, or name a --format")
    form = form or (ending if ending in _FORMATS else "table")
    if form == "parquet" and not output:
        raise click.UsageError("--format parquet needs -o FILE")
    if resume and (not output or form not in ("jsonl", "csv")):
        raise click.UsageError("--resume needs -o FILE and the format jsonl or csv")
    if explained and form not in ("table", "jsonl"):
        raise click.UsageError("--explain needs the format table or jsonl")
    if resume and STDIN in files:
        raise click.UsageError("--resume needs files: standard input cannot be read again")
    sources = find_sources(files, input_format)
    if output and output.resolve() in {Path(source.path).resolve() for source in sources}:
        raise click.UsageError(f"{output} is among the files to read; write to another")

    predictor = Predictor(model, threads, abstain=abstain)
    bundle = predictor.bundle
    if explained:
        check_bundle(bundle)
    reasons = partial(explain, predictor) if explained else None
    columns = flat_columns([head.name for head in bundle.heads], bundle.spans, keep)
    title = encodable(Path(sources[0].path).name) if len(sources) == 1 else f"{len(sources)} files"
    watched = sys.stderr.isatty() and (output is not None or not sys.stdout.isatty())

    def write(stream: TextIO, records: int = 0) -> None:
        """Write all but the first `records`, the header of a CSV file among them."""
        done = max(records - 1, 0) if form == "csv" else records
        labelled = label(predictor, read(sources, text_column, keep), done)
        if watched:
            labelled = with_progress(labelled, sum(source.size for source in sources))
        match form:
            case "table":
                write_table(labelled, stream, reasons)
            case "jsonl":
                write_jsonl(labelled, stream, reasons)
            case "csv":
                write_csv(labelled, stream, columns, header=records == 0)
            case "parquet":
                write_parquet(labelled, stream, columns)
            case "html":
                write_html(labelled, stream, title)

    if resume and output:
        request = {
            "options": [form, input_format, text_column, list(keep), abstain, explained],
            "version": __version__,
            "bundle": dict(bundle.files),
            "input": [source.fingerprint for source in sources],
        }
        with resumable(output, request, quoted=form == "csv") as (stream, records):
            write(stream, records)
    else:
        with opened(output) as stream:
            write(stream)
