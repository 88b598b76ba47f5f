"""An evaluation in the terminal: the overview first, what explains it after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.columns import Columns
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from training.evaluate import Comparison, Detail, Report
from training.metrics import HeadScore
from training.reliability import BINS, COVERAGES
from training.scores import Slice, SystemScore
from training.significance import ALPHA, DRAWS, Difference, Interval

_ERRORS_SHOWN = 3  # per head


def print_comparison(comparison: Comparison, console: Console | None = None) -> None:
    """Macro-F1 of every system with its interval, and what was left out."""
    console = console or Console()
    console.print(_overview(comparison.systems, f"Macro-F1 on {comparison.rows:,} sentences"))
    for name, reason in comparison.left_out.items():
        console.print(f"left out: {name} ({reason})", style="dim", markup=False)


def print_report(report: Report) -> None:
    """Everything that the page shows but its plots, in as few lines as it takes."""
    console = Console()
    print_comparison(report.overview, console)
    console.print(
        f"Below each figure: its 95 % bootstrap interval ({DRAWS:,} resamples"
        + (", contrast groups drawn whole)." if report.groups else ")."),
        style="dim",
    )
    if report.against:
        _section(console, f"{report.bundle} against {report.against}")
        console.print(_differences(report.differences))
        for task, one in report.differences.items():
            console.print(Text(f"{task}: {verdict(one)}"))
    for task, score in report.own.tasks.items():
        detail = report.details[task]
        _section(console, f"{task}: macro-F1 {score.macro_f1:.3f}, accuracy {score.accuracy:.3f}")
        console.print(Columns([_classes(score, detail), _confusion(detail)], padding=(0, 4)))
    _section(console, f"Confidence (ECE over {BINS} bins of equally many sentences)")
    console.print(_confidence(report))
    slices = {"length": report.by_length, "beat": report.by_beat}
    parts = [_slices(kind, one) for kind, one in slices.items() if one]
    _section(console, f"Accuracy by {' and '.join(kind for kind in slices if slices[kind])}")
    console.print(Columns(parts, padding=(0, 4)))
    if groups := report.groups:
        per_task = ", ".join(f"{task} {share:.3f}" for task, share in groups.tasks.items())
        _section(console, f"Contrast groups wholly right, of {groups.number}")
        console.print(Text(f"all heads {groups.consistency:.3f}; {per_task}"))
    if report.spans or report.contradictions:
        _section(console, "Spans")
        _print_spans(console, report)
    _section(console, "Most confident errors")
    for task in report.own.tasks:
        for error in [e for e in report.hard_errors if e.task == task][:_ERRORS_SHOWN]:
            line = f"{task}: {error.predicted} at {error.confidence:.2f}, gold {error.gold}: "
            console.print(Text.assemble((line, "bold"), error.text))


def verdict(one: Difference) -> str:
    """One sentence on a difference: is it more than chance, by both tests?"""
    points = f"{abs(one.macro_f1) * 100:.1f} points of macro-F1"
    if one.significant:
        said = f"significantly {'better' if one.macro_f1 > 0 else 'worse'} by {points}"
    else:
        said = f"no significant difference ({points}, p = {one.p_value:.3f})"
    if one.significant != (one.mcnemar < ALPHA):
        said += f", but {'not so' if one.significant else 'a significant one'} in accuracy"
    return said


def between(interval: Interval) -> str:
    """An interval as people write it."""
    return f"{interval.low:.3f} to {interval.high:.3f}"


def _section(console: Console, title: str) -> None:
    console.print()
    console.print(Text(title, style="bold"))


def _table(columns: Iterable[str], rows: Iterable[Sequence[RenderableType]]) -> Table:
    """A plain table: the first column is text, the others are figures."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for place, name in enumerate(columns):
        table.add_column(name, justify="right" if place else "left", no_wrap=not place)
    for row in rows:
        table.add_row(*row)
    return table


def _overview(systems: Sequence[SystemScore], title: str) -> Table:
    tasks = systems[-1].tasks
    grouped = any(system.consistency is not None for system in systems)

    def cells(system: SystemScore) -> Iterable[RenderableType]:
        yield Text(system.name)
        for task in tasks:
            if task not in system.tasks:
                yield ""
                continue
            interval = system.intervals[task]
            score = f"{system.tasks[task].macro_f1:.3f}"
            yield Text.assemble(score, (f"\n{interval.low:.2f}-{interval.high:.2f}", "dim"))
        if grouped:
            yield "" if system.consistency is None else f"{system.consistency:.3f}"

    columns = ["", *tasks, *(["groups right"] if grouped else [])]
    table = _table(columns, [list(cells(system)) for system in systems])
    table.title, table.title_justify, table.title_style = title, "left", "bold"
    return table


def _classes(score: HeadScore, detail: Detail) -> Table:
    return _table(
        ("", "precision", "recall", "F1", "rows"),
        [
            (label, f"{c.precision:.3f}", f"{c.recall:.3f}", f"{c.f1:.3f}", f"{c.support:,}")
            for label in detail.labels
            if (c := score.classes.get(label))
        ],
    )


def _confusion(detail: Detail) -> Table:
    """Gold labels down, answers across, under the beginnings of their names."""
    return _table(
        ("gold \\ told", *(label[:5] for label in detail.labels)),
        [
            (label, *(str(count) if count else "·" for count in counts))
            for label, counts in zip(detail.labels, detail.confusion, strict=True)
            if any(counts)
        ],
    )


def _confidence(report: Report) -> Table:
    def cells(task: str, detail: Detail) -> Iterable[str]:
        yield task
        if detail.calibration and detail.risk_coverage:
            yield f"{detail.calibration.ece:.3f}"
            yield f"{detail.risk_coverage.aurc:.4f}"
            yield from (f"{risk:.3f}" for risk in detail.risk_coverage.risk_at.values())
        if kept := detail.abstention:
            yield f"{kept.risk:.3f} of {kept.coverage:.0%}"

    columns = ["", "ECE", "AURC", *(f"errors at {share:.0%}" for share in COVERAGES)]
    if any(detail.abstention for detail in report.details.values()):
        columns.append("at the thresholds")
    return _table(
        columns,
        [list(cells(task, one)) for task, one in report.details.items() if one.calibration],
    )


def _slices(kind: str, slices: Sequence[Slice]) -> Table:
    tasks = list(dict.fromkeys(task for part in slices for task in part.accuracy))
    return _table(
        (kind, *tasks, "rows"),
        [
            (
                part.name,
                *(f"{part.accuracy[task]:.3f}" if task in part.accuracy else "" for task in tasks),
                f"{part.rows:,}",
            )
            for part in slices
        ],
    )


def _differences(differences: Mapping[str, Difference]) -> Table:
    columns = ("", "macro-F1", "95 % interval", "p", "only this right", "only that", "McNemar p")
    return _table(
        columns,
        [
            (
                task,
                f"{one.macro_f1:+.3f}",
                between(one.interval),
                f"{one.p_value:.4f}",
                str(one.only_second),
                str(one.only_first),
                f"{one.mcnemar:.4f}",
            )
            for task, one in differences.items()
        ],
    )


def _print_spans(console: Console, report: Report) -> None:
    if report.spans:
        console.print(
            _table(
                ("", "exact F1", "overlap F1", "annotated", "predicted", "rows"),
                [
                    (
                        name,
                        f"{one.exact.f1:.3f}",
                        f"{one.overlap.f1:.3f}",
                        f"{one.annotated:,}",
                        f"{one.predicted:,}",
                        f"{one.rows:,}",
                    )
                    for name, one in report.spans.items()
                ],
            )
        )
    for rule in report.contradictions:
        console.print(Text(f"{rule.meaning}: {rule.share:.1%} of {rule.rows:,}"))
    if one := report.faithfulness:
        console.print(
            Text(
                f"without the cue (now «{one.neutral}»), the certainty's probability falls by "
                f"{one.cue_drop:.3f} and its label changes in {one.cue_changed:.1%}; without as "
                f"many other words, by {one.random_drop:.3f} and in {one.random_changed:.1%} "
                f"({one.rows:,} sentences)"
            )
        )
