"""Agreement of two readers who labelled the same sentences, the second without seeing the first.

Agreement tells how far a score can be trusted: a model that disagrees with the gold labels no more
often than a second reader does has nothing left to learn from them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score

from stance.errors import DataError
from training.check import SCHEME


@dataclass(frozen=True, slots=True)
class HeadAgreement:
    """Agreement on one head over `rows` sentences.

    `kappa` and `alpha` are chance-corrected, and undefined (nan) where both readers use one and
    the same label throughout. `f1` has the classes that either reader used; it is the same
    whichever reader is taken as gold.
    """

    rows: int
    raw: float
    kappa: float
    alpha: float
    f1: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One label on which the readers differ."""

    id: str
    text: str
    head: str
    gold: str
    second: str


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement per head, and every single disagreement for adjudication."""

    heads: Mapping[str, HeadAgreement]
    disagreements: tuple[Disagreement, ...]


def agreement(gold: Iterable[Mapping[str, Any]], second: Iterable[Mapping[str, Any]]) -> Agreement:
    """Compare two readers on the rows of `second`, joined to `gold` by id.

    Raises:
        DataError: a row of `second` has no id or one that is not in `gold`, an id stands twice, a
            label is not in the scheme, or there is nothing to compare.
    """
    # Gold rows without an id are ordinary: they were not read twice.
    golden = _by_id((row for row in gold if row.get("id")), "the gold rows")
    seconded = _by_id(second, "the second reader's rows")
    if unknown := [name for name in seconded if name not in golden]:
        raise DataError(
            f"{len(unknown)} ids of the second reader are not in the gold rows, {unknown[0]!r} "
            "first: name all gold files"
        )
    heads = {}
    disagreements = []
    for head in SCHEME:
        ids = [name for name, row in seconded.items() if row.get(head)]
        if not ids:
            continue
        ours = [_label(golden[name], head, name) for name in ids]
        theirs = [_label(seconded[name], head, name) for name in ids]
        heads[head] = _compare(head, ours, theirs)
        disagreements += [
            Disagreement(name, str(golden[name].get("text", "")), head, one, other)
            for name, one, other in zip(ids, ours, theirs, strict=True)
            if one != other
        ]
    if not heads:
        raise DataError("the second reader's rows hold no labels to compare")
    return Agreement(heads, tuple(disagreements))


def _by_id(rows: Iterable[Mapping[str, Any]], whose: str) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        name = row.get("id")
        if not isinstance(name, str) or not name:
            raise DataError(
                f"a row of {whose} has no id: give every row one, they are joined by it"
            )
        if name in found:
            raise DataError(f"id {name!r} stands twice in {whose}: keep one row, name files once")
        found[name] = row
    return found


def _label(row: Mapping[str, Any], head: str, name: str) -> str:
    label = row.get(head)
    if label not in SCHEME[head]:
        raise DataError(f"id {name!r}: {head} {label!r} is not in {', '.join(SCHEME[head])}")
    return str(label)


def _compare(head: str, gold: Sequence[str], second: Sequence[str]) -> HeadAgreement:
    used = [label for label in SCHEME[head] if label in gold or label in second]
    return HeadAgreement(
        rows=len(gold),
        raw=float(accuracy_score(gold, second)),
        # Cohen 1960, "A coefficient of agreement for nominal scales".
        kappa=float(cohen_kappa_score(gold, second, labels=used)) if len(used) > 1 else nan,
        alpha=_alpha(gold, second),
        f1=dict(zip(used, f1_score(gold, second, labels=used, average=None).tolist(), strict=True)),
    )


def _alpha(gold: Sequence[str], second: Sequence[str]) -> float:
    """Krippendorff's alpha for nominal data, two readers, no label missing.

    Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section B: one minus observed
    by expected disagreement, the latter over all pairs that the pooled labels can form.
    """
    pooled = Counter(gold) + Counter(second)
    total = pooled.total()
    expected = total**2 - sum(count**2 for count in pooled.values())
    observed = 2 * sum(one != other for one, other in zip(gold, second, strict=True))
    return 1 - (total - 1) * observed / expected if expected else nan


def print_agreement(result: Agreement, console: Console | None = None) -> None:
    """Print the coefficients, the F1 of each class, and the disagreements."""
    console = console or Console()
    table = Table("head", "rows", "raw", "kappa", "alpha")
    for name, head in result.heads.items():
        table.add_row(name, str(head.rows), *map(_number, (head.raw, head.kappa, head.alpha)))
    console.print(table)
    for name, head in result.heads.items():
        table = Table(name, "F1")
        for label, f1 in head.f1.items():
            table.add_row(label, _number(f1))
        console.print(table)
    for case in result.disagreements:
        line = Text.assemble((case.id, "bold"), f" {case.head}: {case.gold} / {case.second}  ")
        console.print(line.append(case.text, "dim"), soft_wrap=True)
    console.print(f"{len(result.disagreements)} disagreements (gold / second reader)")


def _number(value: float) -> str:
    return "undefined" if value != value else f"{value:.3f}"
