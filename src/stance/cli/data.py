"""The `stance data` commands: check labelled sentences, measure agreement, exchange them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from stance.errors import DataError, StanceError
from stance.extras import training_extra
from stance.writers import opened


class _DataGroup(click.Group):
    """Commands that need the `train` extra, and say so where it is not installed."""

    def invoke(self, ctx: click.Context) -> Any:
        with training_extra():
            return super().invoke(ctx)


@click.group(cls=_DataGroup)
def data() -> None:
    """Check labelled sentences, compare two readers, exchange with Label Studio."""


@data.command()
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option(
    "--against",
    multiple=True,
    metavar="FILE",
    help="Text that no row may share 12 running words with (.txt, .jsonl, .jsonl.gz); repeatable.",
)
def check(paths: tuple[str, ...], against: tuple[str, ...]) -> None:
    """Check data files or folders against the guideline; `data` if none is named."""
    from training.check import check, print_report

    report = check(paths or ("data",), against)
    print_report(report)
    if report.errors:
        raise DataError(f"{len(report.errors)} errors in the data; mend the lines named above")


@data.command()
@click.argument("gold", nargs=-1, required=True, metavar="GOLD...")
@click.option(
    "--second",
    multiple=True,
    required=True,
    metavar="FILE",
    help="File or folder of the second reader's labels; repeatable.",
)
def agreement(gold: tuple[str, ...], second: tuple[str, ...]) -> None:
    """Agreement of the labels with a second reader's, joined by id."""
    from training.agreement import agreement, print_agreement
    from training.check import sentence_files
    from training.rows import data_files

    print_agreement(agreement(_rows(sentence_files(gold)), _rows(data_files(second))))


@data.command("export")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="Tasks (JSON) to write."
)
@click.option("--predictions", is_flag=True, help="Existing labels as pre-annotations to review.")
@click.option(
    "--config-xml", type=click.Path(path_type=Path), help="Also write the labelling interface."
)
def export_(
    files: tuple[str, ...], output: Path, predictions: bool, config_xml: Path | None
) -> None:
    """Turn data files into Label Studio tasks."""
    from training.check import sentence_files
    from training.label_studio import export_tasks, labeling_config

    tasks = export_tasks(_rows(sentence_files(files)), predictions)
    with opened(output) as stream:
        json.dump(tasks, stream, indent=1)
    click.echo(f"{len(tasks)} tasks in {output}", err=True)
    if config_xml is not None:
        with opened(config_xml) as stream:
            stream.write(labeling_config())


@data.command("import")
@click.argument("tasks", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="Rows (JSONL) to write."
)
def import_(tasks: Path, output: Path) -> None:
    """Turn Label Studio's JSON export into rows; unfinished tasks are left out."""
    from training.label_studio import disputed, import_tasks

    try:
        content = json.loads(tasks.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{tasks}: no such file") from None
    except ValueError as error:
        raise DataError(f"{tasks}: not valid JSON ({error}); export it again") from None
    try:
        rows = import_tasks(content)
    except DataError as error:
        raise DataError(f"{tasks}: {error}") from None
    if not rows:
        raise StanceError(f"{tasks}: no task has a finished annotation; nothing written")
    with opened(output) as stream:
        stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    click.echo(f"{len(rows)} of {len(content)} tasks are annotated, in {output}", err=True)
    if dispute := disputed(content):
        some = ", ".join(dispute[:5]) + (", …" if len(dispute) > 5 else "")
        click.echo(
            f"in {len(dispute)} of them annotations differ (task {some}): the latest counts",
            err=True,
        )


def _rows(files: Iterable[Path]) -> list[dict[str, Any]]:
    from training.rows import read_rows

    return [row for file in files for row, _ in read_rows(file)]


@data.command()
@click.argument("labels", type=click.Path(path_type=Path))
@click.argument("articles", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
def attach(labels: Path, articles: tuple[Path, ...], output: Path) -> None:
    """Join stand-off labels to the articles they were made on; writes labelled rows (JSONL)."""
    from training.standoff import attach

    with opened(output) as stream:
        for row in attach(labels, articles):
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")


@data.command()
@click.argument("rows", type=click.Path(path_type=Path))
@click.argument("corrections", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
def relabel(rows: Path, corrections: Path, output: Path) -> None:
    """Correct labelled rows (JSONL) by their ids; null in CORRECTIONS takes a label away."""
    from training.standoff import relabel

    with opened(output) as stream:
        for row in relabel(rows, corrections):
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")
