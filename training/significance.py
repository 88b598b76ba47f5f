"""How far a score can be trusted: the bootstrap, and tests of a difference between two systems."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

DRAWS = 2_000
SEED = 13
ALPHA = 0.05
_CHUNK = 100  # draws at a time: bounds the memory to this many rows of weights


@dataclass(frozen=True, slots=True)
class Interval:
    """The middle 95 % of the bootstrap's scores (percentile interval)."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """Second system minus first, on the same rows.

    `interval` and `p_value` are the paired bootstrap's, of macro-F1 (two-sided; Efron and
    Tibshirani 1993, chapter 16). `mcnemar` is the exact p-value of McNemar's test on the rows that
    only the first (`only_first`) and only the second (`only_second`) gets right.
    """

    macro_f1: float
    interval: Interval
    p_value: float
    only_first: int
    only_second: int
    mcnemar: float

    @property
    def significant(self) -> bool:
        """Whether the bootstrap finds the difference in macro-F1 at the 5 % level."""
        return self.p_value < ALPHA


def bootstrap_macro_f1(
    gold: np.ndarray,
    predictions: Sequence[np.ndarray],
    labels: int,
    groups: Sequence[Hashable] | None = None,
) -> np.ndarray:
    """Macro-F1 of every system on the same resamples of the rows.

    What is drawn, with replacement, is whole groups: their rows are written alike, so they are not
    independent. As in `training.metrics.score`, a class without gold rows in a resample is left
    out of its mean.

    Args:
        gold: shape (rows,), label codes from 0.
        predictions: per system, codes of shape (rows,).
        labels: number of labels.
        groups: per row, what it belongs to; every row stands for itself when omitted.

    Returns:
        Shape (systems, DRAWS). The same arguments give the same numbers.
    """
    unit = np.arange(len(gold)) if groups is None else _codes(groups)
    units = int(unit.max()) + 1
    counts = np.concatenate(
        [_counts(gold, predicted, labels, unit, units) for predicted in predictions], axis=1
    )
    random = np.random.default_rng(SEED)
    # One draw's units are counted apart from another's by their offset.
    offsets = np.arange(_CHUNK)[:, None] * units
    scores = []
    for _ in range(DRAWS // _CHUNK):
        drawn = random.integers(units, size=(_CHUNK, units), dtype=np.int64) + offsets
        times = np.bincount(drawn.ravel(), minlength=_CHUNK * units).reshape(_CHUNK, units)
        total = times.astype(np.float32) @ counts
        scores.append(_macro_f1(total.reshape(_CHUNK, len(predictions), 3, labels)))
    return np.concatenate(scores, axis=1)


def interval(scores: np.ndarray) -> Interval:
    """The 95 % percentile interval of resampled scores."""
    low, high = np.quantile(scores, [ALPHA / 2, 1 - ALPHA / 2])
    return Interval(float(low), float(high))


def difference(
    observed: float, resampled: np.ndarray, first_right: np.ndarray, second_right: np.ndarray
) -> Difference:
    """Test a difference in macro-F1 and in accuracy.

    Args:
        observed: macro-F1 of the second system minus the first's.
        resampled: the same difference on each resample, shape (draws,).
        first_right: whether the first system is right, shape (rows,), boolean.
        second_right: as `first_right`, for the second system.
    """
    # Under the hypothesis of no difference the resampled one scatters about 0 as it does here
    # about what was observed.
    as_far = int((np.abs(resampled - observed) >= abs(observed)).sum())
    only_first = int((first_right & ~second_right).sum())
    only_second = int((second_right & ~first_right).sum())
    discordant = only_first + only_second
    return Difference(
        macro_f1=observed,
        interval=interval(resampled),
        p_value=(as_far + 1) / (len(resampled) + 1),
        only_first=only_first,
        only_second=only_second,
        mcnemar=float(binomtest(only_first, discordant).pvalue) if discordant else 1.0,
    )


def _codes(groups: Sequence[Hashable]) -> np.ndarray:
    places = {group: place for place, group in enumerate(dict.fromkeys(groups))}
    return np.array([places[group] for group in groups])


def _counts(
    gold: np.ndarray, predicted: np.ndarray, labels: int, unit: np.ndarray, units: int
) -> np.ndarray:
    """Per unit: hits, gold rows and predicted rows of each label, shape (units, 3 * labels)."""
    hit = gold == predicted
    kinds = ((unit[hit], gold[hit]), (unit, gold), (unit, predicted))
    counts = [np.bincount(u * labels + code, minlength=units * labels) for u, code in kinds]
    table = np.stack([one.reshape(units, labels) for one in counts], axis=1)
    return table.reshape(units, 3 * labels).astype(np.float32)


def _macro_f1(counts: np.ndarray) -> np.ndarray:
    """Counts of shape (draws, systems, 3, labels) to macro-F1 of shape (systems, draws)."""
    hits, gold, told = np.moveaxis(counts, 2, 0)
    f1 = 2 * hits / np.maximum(gold + told, 1)
    occurs = gold > 0
    macro: np.ndarray = (f1 * occurs).sum(-1) / occurs.sum(-1)
    return macro.T
