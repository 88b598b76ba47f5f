"""Explanations: the certainty with the cue and without it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stance.bundle import Bundle, Head
from stance.errors import BundleError
from stance.explain import check_bundle, explain
from stance.results import HeadPrediction, Prediction, SentencePrediction, Span

TEXT = "Balai Kota membantah dana itu dipotong."


def certainty(denied: float) -> HeadPrediction:
    label = "denied" if denied > 0.5 else "confirmed"
    probabilities = {"denied": denied, "confirmed": 1 - denied}
    return HeadPrediction(label, probabilities[label], probabilities, label, label)


class CueReader:
    """A predictor that reads the word «membantah» and nothing else."""

    def __init__(self):
        self.asked = []

    def predict_one(self, text):
        self.asked.append(text)
        denied = bool(re.search("membantah", text, re.IGNORECASE))
        return Prediction(text, {"certainty": certainty(0.9 if denied else 0.2)})


def predicted(text, cue=None, at=0):
    spans = {}
    if cue is not None:
        start = at + text.index(cue)
        spans["cue"] = Span(cue, start, start + len(cue), 1.0)
    heads = {"certainty": certainty(0.9)}
    return SentencePrediction(text, heads, spans=spans, start=at, end=at + len(text))


@pytest.mark.parametrize("at", [0, 250])
def test_the_cue_is_replaced_wherever_the_sentence_stands(at):
    reader = CueReader()
    explanation = explain(reader, predicted(TEXT, "membantah", at))
    assert explanation.counterfactual == "Balai Kota juga dana itu dipotong."
    assert reader.asked == [explanation.counterfactual]


def test_the_probability_is_of_the_label_that_the_cue_decided():
    explanation = explain(CueReader(), predicted(TEXT, "membantah"))
    assert explanation.certainty.confidence == pytest.approx(0.9)
    assert explanation.probability_without_cue == pytest.approx(0.2)
    assert explanation.to_dict() == {
        "text": "Balai Kota juga dana itu dipotong.",
        "certainty": "confirmed",
        "probability": 0.2,
    }


def test_a_cue_that_the_model_does_not_read_costs_nothing():
    explanation = explain(CueReader(), predicted(TEXT, "dipotong"))
    assert explanation.probability_without_cue == pytest.approx(0.9)


def test_a_capital_is_kept():
    explanation = explain(CueReader(), predicted("Membantah, kata Ratih.", "Membantah"))
    assert explanation.counterfactual == "Juga, kata Ratih."


def test_without_a_cue_nothing_is_asked():
    reader = CueReader()
    explanation = explain(reader, predicted(TEXT))
    assert reader.asked == []
    assert explanation.probability_without_cue is None
    assert explanation.to_dict() == {"text": None, "certainty": None, "probability": None}


def test_a_prediction_of_a_single_text():
    alone = Prediction(
        TEXT, {"certainty": certainty(0.9)}, spans={"cue": Span("membantah", 11, 20, 1.0)}
    )
    assert explain(CueReader(), alone).counterfactual == "Balai Kota juga dana itu dipotong."


@pytest.mark.parametrize(("heads", "spans"), [(["certainty"], ()), (["mood"], ("cue",))])
def test_a_bundle_that_cannot_be_explained_is_refused(heads, spans):
    made = tuple(Head(name, ("a", "b")) for name in heads)
    with pytest.raises(BundleError, match="has no `cue` span for `certainty`"):
        check_bundle(Bundle(Path("berkas"), made, spans, 32, {}, {}, {}))
    fine = (Head("certainty", ("a", "b")),)
    check_bundle(Bundle(Path("berkas"), fine, ("cue",), 32, {}, {}, {}))
