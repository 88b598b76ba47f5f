"""Scores of the words that a bundle points at, against annotated ones and against its labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from stance.results import Prediction
from training.corpus import Example


@dataclass(frozen=True, slots=True)
class Match:
    """Precision, recall and F1 over spans (micro-averaged)."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class SpanScore:
    """One span's scores on the rows that annotate it, be it as absent.

    `exact` asks for the same words, outer blanks aside; `overlap` for one character in common.
    `annotated` and `predicted` count the rows with such a span.
    """

    rows: int
    annotated: int
    predicted: int
    exact: Match
    overlap: Match


@dataclass(frozen=True, slots=True)
class Contradiction:
    """How often a predicted label and a predicted span contradict each other.

    `rows` were predicted to be `label`; in `share` of them `span` is absent though it should be
    `present`, or the other way round.
    """

    head: str
    label: str
    span: str
    present: bool
    rows: int
    share: float

    @property
    def meaning(self) -> str:
        """In words: «denied without a cue»."""
        return f"{self.label} {'without' if self.present else 'with'} a {self.span}"


# What the guideline says of labels and spans (section 4): head, label, span, whether it is there.
RULES: Final = (
    ("certainty", "denied", "cue", True),
    ("attribution", "named", "source", True),
    ("attribution", "newsroom", "source", False),
)


def score_spans(
    examples: Sequence[Example], predictions: Sequence[Prediction], names: Sequence[str]
) -> dict[str, SpanScore]:
    """Score each span that any row annotates."""
    scores = {}
    for name in names:
        rows = [
            (example, prediction)
            for example, prediction in zip(examples, predictions, strict=True)
            if name in example.spans
        ]
        if rows:
            scores[name] = _score_span(rows, name)
    return scores


def find_contradictions(
    predictions: Sequence[Prediction], names: Sequence[str]
) -> tuple[Contradiction, ...]:
    """The guideline's rules, for the spans `names` and the heads that the predictions have."""
    found = []
    for head, label, span, present in RULES:
        if span not in names:
            continue
        rows = [p for p in predictions if head in p.heads and p[head].model_label == label]
        if rows:
            against = sum((span in row.spans) is not present for row in rows)
            found.append(Contradiction(head, label, span, present, len(rows), against / len(rows)))
    return tuple(found)


def _score_span(rows: Sequence[tuple[Example, Prediction]], name: str) -> SpanScore:
    annotated = predicted = exact = overlap = 0
    for example, prediction in rows:
        gold, told = example.spans[name], prediction.spans.get(name)
        annotated += gold is not None
        predicted += told is not None
        if gold is not None and told is not None:
            start, end = gold
            # Annotators copy words, not places: the same words elsewhere in the text will do.
            same = example.text[start:end].strip() == told.text.strip()
            exact += same
            overlap += same or (told.start < end and start < told.end)
    counts = (annotated, predicted)
    return SpanScore(len(rows), *counts, _match(exact, *counts), _match(overlap, *counts))


def _match(hits: int, annotated: int, predicted: int) -> Match:
    return Match(
        precision=hits / predicted if predicted else 0.0,
        recall=hits / annotated if annotated else 0.0,
        f1=2 * hits / (annotated + predicted) if annotated + predicted else 0.0,
    )
