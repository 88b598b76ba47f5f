"""Whether confidences mean what they say: calibration, and what abstaining would buy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BINS = 15
COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.5)
_CURVE_POINTS = 200


@dataclass(frozen=True, slots=True)
class Bin:
    """Rows of similar confidence: its mean, the share of them that is right, their number."""

    confidence: float
    accuracy: float
    rows: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """Expected calibration error of the reported label's probability.

    The mean over `bins`, weighted by rows, of |accuracy - confidence| (Naeini et al. 2015). The
    bins hold equally many rows each, as most confidences lie near 1 (Nixon et al. 2019).
    """

    ece: float
    bins: tuple[Bin, ...]


@dataclass(frozen=True, slots=True)
class RiskCoverage:
    """Share of errors among the rows answered, when the least confident are left unanswered.

    `aurc` is the area under the curve (Geifman and El-Yaniv 2017): 0 is perfect, and a model whose
    confidence says nothing has its error rate. `curve` holds (coverage, risk) points, thinned for
    drawing, and `risk_at` the risk at round coverages.
    """

    aurc: float
    curve: tuple[tuple[float, float], ...]
    risk_at: dict[str, float]


def calibration(confidence: np.ndarray, right: np.ndarray) -> Calibration:
    """Calibration over 15 bins of equal mass.

    Args:
        confidence: shape (rows,), probability of the reported label.
        right: shape (rows,), whether it is the gold one.
    """
    order = np.argsort(confidence, kind="stable")
    bins = tuple(
        Bin(float(confidence[part].mean()), float(right[part].mean()), len(part))
        for part in np.array_split(order, BINS)
        if len(part)
    )
    gaps = [one.rows * abs(one.accuracy - one.confidence) for one in bins]
    return Calibration(sum(gaps) / len(order), bins)


def risk_coverage(confidence: np.ndarray, right: np.ndarray) -> RiskCoverage:
    """The curve from the most confident row to all rows; arguments as in `calibration`."""
    order = np.argsort(-confidence, kind="stable")
    answered = np.arange(1, len(order) + 1)
    risk = np.cumsum(~right[order]) / answered
    shown = np.unique(np.linspace(0, len(order) - 1, _CURVE_POINTS).astype(int))
    curve = tuple((float(answered[i] / len(order)), float(risk[i])) for i in shown)
    at = {
        f"{coverage:.0%}": float(risk[max(round(coverage * len(order)), 1) - 1])
        for coverage in COVERAGES
    }
    return RiskCoverage(float(risk.mean()), curve, at)
