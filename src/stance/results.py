"""What a prediction is: immutable, typed, the same object in the API, the CLI and the files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class HeadPrediction:
    """One head's answer for one sentence.

    `probabilities` are calibrated, one per reported label, and sum to 1. `fine_label` is the most
    probable label before the scheme's merges (`stated`, where `label` is `alleged`).
    """

    label: str
    confidence: float
    probabilities: Mapping[str, float]
    fine_label: str


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answers of all heads for one text; `truncated` says that its end was not read."""

    text: str
    heads: Mapping[str, HeadPrediction]
    truncated: bool = False

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
        """A flat, JSON-ready form: one key per head, then confidences and probabilities."""
        return {
            "text": self.text,
            **self.labels,
            "fine": {n: h.fine_label for n, h in self.heads.items() if h.fine_label != h.label},
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
