"""`stance evaluate`, `stance baselines`, `stance report`: scores, and the page that shows them."""

from __future__ import annotations

import os
import sys
import webbrowser
from pathlib import Path

import click

from stance.errors import InputError
from stance.extras import training_extra

_REPORT = "report.html"
_path = click.Path(path_type=Path)
_html = click.option("--html", type=_path, metavar="FILE", help="Write a page with plots.")
_json = click.option("--json", "json_file", type=_path, metavar="FILE", help="Write all figures.")


@click.command()
@click.argument("bundle", type=_path)
@click.argument("data", nargs=-1, required=True)
@click.option("--against", type=_path, metavar="BUNDLE", help="Another bundle, to compare with.")
@click.option(
    "--baselines", metavar="TRAIN", multiple=True, help="Also fit baselines on TRAIN; repeatable."
)
@click.option("--faithfulness", is_flag=True, help="Also ask again without the predicted cues.")
@_html
@_json
def evaluate(
    bundle: Path,
    data: tuple[str, ...],
    against: Path | None,
    baselines: tuple[str, ...],
    faithfulness: bool,
    html: Path | None,
    json_file: Path | None,
) -> None:
    """Score a bundle on labelled sentences (JSONL, CSV, TSV, Parquet; files or folders)."""
    with training_extra():
        from training.evaluate import evaluate_bundle
        from training.report import write_html, write_json
        from training.tables import print_report
    report = evaluate_bundle(bundle, data, baselines, against, faithfulness)
    print_report(report)
    if html:
        write_html(report, html)
    if json_file:
        write_json(report, json_file)


@click.command()
@click.argument("train", nargs=-1, required=True)
@click.option(
    "--test", metavar="DATA", multiple=True, required=True, help="Rows to score on; repeatable."
)
@click.option(
    "--scheme",
    type=_path,
    metavar="PATH",
    help="Bundle or configuration whose heads to predict; the shipped bundle when omitted.",
)
@click.option("--only", metavar="NAME", multiple=True, help="A baseline to run; repeatable.")
@_json
def baselines(
    train: tuple[str, ...],
    test: tuple[str, ...],
    scheme: Path | None,
    only: tuple[str, ...],
    json_file: Path | None,
) -> None:
    """Score what a trained bundle has to beat: majority, cue lexicon, TF-IDF, frozen base."""
    with training_extra():
        from training.evaluate import compare_baselines
        from training.report import write_json
        from training.scheme import load_scheme
        from training.tables import print_comparison
    from stance.predictor import default_bundle

    comparison = compare_baselines(load_scheme(scheme or default_bundle()), train, test, only)
    print_comparison(comparison)
    if json_file:
        write_json(comparison, json_file)


@click.command()
@click.argument("source", type=_path, metavar="BUNDLE|FILE")
def report(source: Path) -> None:
    """Open the page of an evaluation in the browser: FILE, or `report.html` in BUNDLE."""
    page = source / _REPORT if source.is_dir() else source
    if not page.is_file():
        raise InputError(
            f"no page at {page}; make it with: stance evaluate BUNDLE DATA --html {page}"
        )
    print(page.resolve())
    if _has_display():
        webbrowser.open(page.resolve().as_uri())


def _has_display() -> bool:
    """Whether a browser has where to open: on Linux, `webbrowser` would fall back to a text one."""
    return not sys.platform.startswith("linux") or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
