"""What a prediction is: immutable, typed, the same object in the API, the CLI and the files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

UNCERTAIN = "uncertain"


@dataclass(frozen=True, slots=True)
class HeadPrediction:
    """One head's answer for one sentence.

    `probabilities` are calibrated, one per reported label, and sum to 1; `model_label` is the most
    probable of them and `confidence` its probability. `label` is what is reported: `model_label`,
    or `uncertain` where the predictor may abstain and the confidence is below the label's
    threshold. `fine_label` is the most probable label before the scheme's merges (`stated`, where
    `model_label` is `alleged`).
    """

    label: str
    confidence: float
    probabilities: Mapping[str, float]
    fine_label: str
    model_label: str
    threshold: float = 0.0

    @property
    def reason(self) -> str:
        """Why `label` is reported: `model`, or the threshold that was missed."""
        if self.label == self.model_label:
            return "model"
        return f"{self.model_label} at {self.confidence:.2f} is below {self.threshold:.2f}"


@dataclass(frozen=True, slots=True)
class Span:
    """Words of the text that bear a prediction out, verbatim.

    `start` and `end` (exclusive) count characters, in a `Prediction` of its text, in a
    `SentencePrediction` of its document. `confidence` is the probability of these boundaries.
    """

    text: str
    start: int
    end: int
    confidence: float

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        confidence = round(self.confidence, 4)
        return {"text": self.text, "start": self.start, "end": self.end, "confidence": confidence}


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answers of all heads for one text; `truncated` says that its end was not read.

    `spans` holds the spans that were found, by name: `cue`, the words that decide the certainty,
    and `source`, the words that name whose word it is.
    """

    text: str
    heads: Mapping[str, HeadPrediction]
    truncated: bool = False
    spans: Mapping[str, Span] = field(default_factory=dict)

    def __getitem__(self, head: str) -> HeadPrediction:
        return self.heads[head]

    @property
    def labels(self) -> dict[str, str]:
        """The reported label of every head."""
        return {name: head.label for name, head in self.heads.items()}

    @property
    def confidence(self) -> float:
        """The least certain head's confidence."""
        return min(head.confidence for head in self.heads.values())

    def to_dict(self) -> dict[str, Any]:
        """A flat, JSON-ready form: one key per head, then spans, confidences, probabilities."""
        return {
            "text": self.text,
            **self.labels,
            "spans": {name: span.to_dict() for name, span in self.spans.items()},
            "fine": {
                n: h.fine_label for n, h in self.heads.items() if h.fine_label != h.model_label
            },
            "abstained": {n: h.reason for n, h in self.heads.items() if h.label != h.model_label},
            "confidence": {n: round(h.confidence, 4) for n, h in self.heads.items()},
            "probabilities": {
                name: {label: round(p, 4) for label, p in head.probabilities.items()}
                for name, head in self.heads.items()
            },
            "truncated": self.truncated,
        }


@dataclass(frozen=True, slots=True)
class SentencePrediction(Prediction):
    """A prediction for a sentence of a document: `document[start:end] == text`, in characters."""

    start: int = field(kw_only=True)
    end: int = field(kw_only=True)

    def to_dict(self) -> dict[str, Any]:
        """As `Prediction.to_dict`, with the offsets first."""
        return {"start": self.start, "end": self.end, **Prediction.to_dict(self)}
