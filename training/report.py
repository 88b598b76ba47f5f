"""An evaluation as one self-contained HTML page, and as JSON."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict
from importlib import resources
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from stance.writers import opened
from training import significance, tables
from training.evaluate import Comparison, Report
from training.plots import plot_confidence, plot_overview
from training.reliability import BINS, COVERAGES

_TEMPLATE = "report.html.j2"


def write_html(report: Report, path: Path) -> None:
    """Write the page: no script, nothing from the network, every text escaped."""
    page = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    page.globals |= {"verdict": tables.verdict, "between": tables.between, "svg": _data_uri}
    template = resources.files("training").joinpath(_TEMPLATE).read_text(encoding="utf-8")
    text = page.from_string(template).render(
        report=report,
        overview_plot=plot_overview(report.overview.systems),
        confidence_plot=plot_confidence(report.details),
        draws=significance.DRAWS,
        bins=BINS,
        coverages=[f"{coverage:.0%}" for coverage in COVERAGES],
    )
    with opened(path) as stream:
        stream.write(text)


def write_json(report: Report | Comparison, path: Path) -> None:
    """Write every figure."""
    with opened(path) as stream:
        json.dump(asdict(report), stream, ensure_ascii=False, indent=1)
        stream.write("\n")


def _data_uri(svg: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode("utf-8")).decode("ascii")
