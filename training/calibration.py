"""Probabilities that can be believed: a temperature, biases and thresholds, fitted on dev rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.optimize import minimize

from stance.bundle import Head
from training.corpus import Example

_BIAS_DEVIATION = 0.7  # of the prior on biases; by ten-fold cross-validation on 364 real rows


def labelled(head: Head, dev: Sequence[Example]) -> list[int]:
    """The places of the rows that have a label of the head."""
    return [row for row, example in enumerate(dev) if head.name in example.labels]


def calibrated(head: Head, logits: np.ndarray, dev: Sequence[Example], precision: float) -> Head:
    """The head with temperature and biases and, with these, a threshold per reported label.

    A threshold is the lowest confidence at and above which the label's precision on `dev` reaches
    `precision`; where no confidence reaches it, the one of the highest precision. A label that is
    never right on `dev` has nothing to be believed on: its threshold is 1.
    """
    temperature, biases = _scaling(head, logits, dev)
    head = replace(head, temperature=temperature, biases=biases)
    answers: dict[str, list[tuple[float, bool]]] = {label: [] for label in head.reported_labels}
    for row in labelled(head, dev):
        answer = head.read_out(logits[row])
        right = answer.label == head.reported(dev[row].labels[head.name])
        answers[answer.label].append((answer.confidence, right))
    thresholds = {}
    for label, given in answers.items():
        given.sort(reverse=True)
        hits = np.cumsum([right for _, right in given])
        reached = hits / np.arange(1, len(given) + 1)
        # Of equal confidences, all or none: only the last one's place can be the threshold.
        confidences = np.array([confidence for confidence, _ in given])
        reached[:-1][confidences[:-1] == confidences[1:]] = -1.0
        if not (best := reached.max(initial=0.0)):
            thresholds[label] = 1.0
            continue
        good = np.flatnonzero(reached >= min(precision, best))
        # Rounded down, lest it lie above the confidence that it came from.
        thresholds[label] = math.floor(confidences[good[-1]] * 1e4) / 1e4
    return replace(head, thresholds=thresholds)


def _scaling(
    head: Head, logits: np.ndarray, dev: Sequence[Example]
) -> tuple[float, tuple[float, ...]]:
    """Temperature and a bias per label that make the labels of `dev` most likely.

    Bias-corrected temperature scaling (Alexandari et al. 2020, "Maximum Likelihood with
    Bias-Corrected Calibration is Hard-To-Beat at Label Shift Adaptation"). What training makes of
    class weights, and of data that was picked for rare classes, is taken back where `dev` shows
    it: a prior holds the biases near 0, and at it for labels that `dev` lacks.
    """
    rows = labelled(head, dev)
    scores = logits[rows].astype(np.float64)
    gold = np.array([head.labels.index(dev[row].labels[head.name]) for row in rows])
    present = np.isin(np.arange(len(head.labels)), gold)

    def loss(values: np.ndarray) -> float:
        biases = np.where(present, values[1:], 0.0)
        scaled = scores / np.exp(values[0]) + biases
        scaled -= scaled.max(axis=1, keepdims=True)
        log_partition = np.log(np.exp(scaled).sum(axis=1))
        prior = np.square(biases / _BIAS_DEVIATION).sum() / 2
        return float((log_partition - scaled[np.arange(len(gold)), gold]).sum() + prior)

    start = np.zeros(1 + len(head.labels))
    bounds = [(np.log(0.25), np.log(4.0)), *[(None, None)] * len(head.labels)]
    found = minimize(loss, start, bounds=bounds).x
    biases = tuple(round(float(bias), 4) for bias in np.where(present, found[1:], 0.0))
    return round(float(np.exp(found[0])), 4), biases
