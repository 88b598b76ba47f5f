"""Scores of predicted against gold labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sklearn.metrics import accuracy_score, precision_recall_fscore_support


@dataclass(frozen=True, slots=True)
class ClassScore:
    """Precision, recall and F1 of one class; `support` is its number of gold rows."""

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, slots=True)
class HeadScore:
    """`macro_f1` is the unweighted mean over the classes that occur in the gold labels."""

    macro_f1: float
    accuracy: float
    rows: int
    classes: Mapping[str, ClassScore]


def score(gold: Sequence[str], predicted: Sequence[str]) -> HeadScore:
    """Score one head. Classes that never occur in `gold` count only as errors of the others."""
    labels = sorted(set(gold))
    precision, recall, f1, support = precision_recall_fscore_support(
        gold, predicted, labels=labels, zero_division=0.0
    )
    return HeadScore(
        macro_f1=float(f1.mean()),
        accuracy=float(accuracy_score(gold, predicted)),
        rows=len(gold),
        classes={
            label: ClassScore(float(p), float(r), float(f), int(n))
            for label, p, r, f, n in zip(labels, precision, recall, f1, support, strict=True)
        },
    )


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether int8 kept the quality of float32 on the dev rows, and by what numbers.

    Losses are what int8 lost against float32, per head, and per head and label. `labels_changed`
    are shares of the rows. `difference_from_torch` is the largest between an output of the float32
    graph and of torch. `limits` are what `passed` was decided by.
    """

    passed: bool
    quantization: str
    macro_f1_loss: dict[str, float]
    labels_changed: dict[str, float]
    largest_probability_difference: float
    recall_loss: dict[str, dict[str, float]]
    difference_from_torch: float
    limits: dict[str, float]
