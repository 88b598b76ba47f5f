"""The plots of an evaluation, as SVG that needs nothing around it.

Colours are Okabe and Ito's, told apart by people with any colour vision; no plot says by colour
alone what it says.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.evaluate import Detail
from training.scores import SystemScore

_BLUE, _ORANGE, _GREY = "#0072B2", "#D55E00", "#767676"
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "path",  # the same letters on every machine
    "svg.hashsalt": "stance",  # the same bytes for the same figures
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def plot_overview(systems: Sequence[SystemScore]) -> str:
    """Macro-F1 of every system with its interval, one panel per task."""
    tasks = list(systems[-1].tasks)
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(2.4 * len(tasks) + 1.6, 0.8 + 0.32 * len(systems)))
        panels = figure.subplots(1, len(tasks), sharey=True, squeeze=False)[0]
        for panel, task in zip(panels, tasks, strict=True):
            for place, system in enumerate(systems):
                if task not in system.tasks:
                    continue
                score, interval = system.tasks[task].macro_f1, system.intervals[task]
                own = system is systems[-1]
                color = _BLUE if own else _GREY
                panel.plot([interval.low, interval.high], [place, place], color=color, lw=1.5)
                panel.plot(score, place, "D" if own else "o", color=color, ms=6 if own else 5)
            panel.set(title=task, xlabel="macro-F1", xlim=(-0.03, 1.03))
            panel.grid(axis="x", color="#e4e4e4")
            panel.set_axisbelow(True)
        panels[0].set_yticks(range(len(systems)), [system.name for system in systems])
        panels[0].set_ylim(len(systems) - 0.5, -0.5)
        return _svg(figure)


def plot_confidence(details: Mapping[str, Detail]) -> str:
    """Reliability above, risk and coverage below, one column per task."""
    shown = {task: one for task, one in details.items() if one.calibration and one.risk_coverage}
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(3.1 * len(shown), 5.8))
        panels = figure.subplots(2, len(shown), squeeze=False)
        for column, (task, detail) in enumerate(shown.items()):
            _reliability(panels[0][column], task, detail)
            _risk_coverage(panels[1][column], detail)
        return _svg(figure)


@dataclass(frozen=True, slots=True)
class Place:
    """A system's sentences per second, and its score where that is known."""

    name: str
    rate: float
    score: float | None


def plot_accuracy_speed(places: Sequence[Place], threads: int) -> str:
    """A point per system, to the right where it is fast; a line where only the speed is known."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(7.5, 4.2))
        axes = figure.subplots()
        for place in places:
            if place.score is None:
                axes.axvline(place.rate, ls=":", color=_GREY)
                at, kind = (place.rate, 0.03), axes.get_xaxis_transform()
                axes.text(*at, f" {place.name}", transform=kind, color=_GREY)
                continue
            axes.plot(place.rate, place.score, "o", color=_BLUE, ms=6)
            axes.annotate(place.name, (place.rate, place.score), (6, 5), textcoords="offset points")
        axes.set(xscale="log", xlabel=f"sentences per second, {threads} threads (logarithmic)")
        axes.set_ylabel("macro-F1, mean of the heads")
        axes.margins(x=0.2, y=0.15)
        axes.grid(color="#e4e4e4")
        axes.set_axisbelow(True)
        return _svg(figure)


def _reliability(axes: Axes, task: str, detail: Detail) -> None:
    assert detail.calibration
    bins = detail.calibration.bins
    low = min(min(one.confidence, one.accuracy) for one in bins)
    axes.plot([0, 1], [0, 1], "--", color=_GREY, lw=1, label="perfect")
    axes.plot(
        [one.confidence for one in bins],
        [one.accuracy for one in bins],
        "o-",
        color=_BLUE,
        ms=4,
        lw=1,
        label=f"ECE {detail.calibration.ece:.3f}",
    )
    start = max(0.0, low - 0.05)
    axes.set(title=task, xlabel="confidence", ylabel="accuracy", xlim=(start, 1.01))
    axes.set_ylim(start, 1.01)
    axes.legend(frameon=False, loc="upper left")


def _risk_coverage(axes: Axes, detail: Detail) -> None:
    assert detail.risk_coverage
    coverage, risk = zip(*detail.risk_coverage.curve, strict=True)
    axes.axhline(risk[-1], ls="--", color=_GREY, lw=1, label="all answered")
    axes.plot(coverage, risk, color=_BLUE, label=f"AURC {detail.risk_coverage.aurc:.4f}")
    if kept := detail.abstention:
        axes.plot(kept.coverage, kept.risk, "s", color=_ORANGE, label="at the thresholds")
    axes.set(xlabel="share answered", ylabel="share of errors", xlim=(0, 1.01))
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, loc="upper left")


def _svg(figure: Figure) -> str:
    figure.tight_layout()
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
