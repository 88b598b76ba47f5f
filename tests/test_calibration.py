"""Temperature, biases and thresholds, fitted on few rows or many."""

from __future__ import annotations

import numpy as np
import pytest

from stance.bundle import Head

pytest.importorskip("torch", reason="training needs the `train` extra")

from training.calibration import calibrated
from training.corpus import Example


def test_thresholds_treat_equal_confidences_alike_and_are_not_above_them():
    head = Head("topic", ("a", "b"), {})
    sure, tie = [9.0, 0.0], [1.0, 0.0]
    logits = np.array([sure] * 4 + [tie] * 4)
    rows = [Example("x", {"topic": label}, "") for label in "aaaa" + "aabb"]
    fitted = calibrated(head, logits, rows, 0.8)
    confidences = [fitted.read_out(np.array(one)).confidence for one in (sure, tie)]
    # With the tie, 6 of 8 would be right; the first of it alone cannot be told from the others.
    assert confidences[1] < fitted.thresholds["a"] <= confidences[0]


def test_a_label_that_is_never_right_is_never_believed():
    head = Head("topic", ("a", "b", "c"), {})
    logits = np.array([[4.0, 0.0, 0.0]] * 9 + [[0.0, 1.0, 0.0]])
    rows = [Example("x", {"topic": "a"}, "")] * 10
    fitted = calibrated(head, logits, rows, 0.95)
    assert fitted.thresholds["b"] == fitted.thresholds["c"] == 1.0
    assert fitted.thresholds["a"] < 1.0


def test_calibration_takes_back_a_shift_of_the_classes():
    # Logits as of a model that saw «a» far too often: right but for 2 on its side.
    generator = np.random.default_rng(0)
    gold = generator.integers(0, 3, 3_000)
    honest = generator.normal(0, 1, (3_000, 4)) + 3 * np.eye(4)[gold]
    shifted = honest + np.array([2.0, 0.0, 0.0, 0.0])
    head = Head("topic", ("a", "b", "c", "absent"), {})
    rows = [Example("x", {"topic": "abc"[code]}, "") for code in gold]
    fitted = calibrated(head, shifted, rows, 0.95)
    a, b, c, absent = fitted.biases
    assert b - a == pytest.approx(2 / fitted.temperature, abs=0.4)
    assert c - b == pytest.approx(0, abs=0.3)
    assert absent == 0.0
    raw, told = (
        np.mean([one.read_out(row).label == "abc"[g] for row, g in zip(shifted, gold, strict=True)])
        for one in (head, fitted)
    )
    assert told > raw + 0.05


def test_a_few_rows_move_no_bias_far():
    head = Head("topic", ("a", "b"), {})
    rows = [Example("x", {"topic": label}, "") for label in "ab"]
    biases = calibrated(head, np.array([[3.0, 0.0], [3.0, 0.0]]), rows, 0.95).biases
    assert max(map(abs, biases)) < 0.7
