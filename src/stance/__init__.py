"""Claim type and attribution certainty of Indonesian news, sentence by sentence.

from stance import Predictor

predictor = Predictor()
for sentence in predictor.analyze("Kirby mengonfirmasi kabar itu. Pyongyang membantah."):
    print(sentence.text, sentence.labels)
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stance.bundle import Bundle
    from stance.errors import BundleError, ConfigError, DataError, InputError, StanceError
    from stance.linking import LinkedSource, link_sources
    from stance.predictor import Predictor
    from stance.results import HeadPrediction, Prediction, SentencePrediction, Span
    from stance.sentences import Sentence, split_sentences
    from stance.summary import Summary, summarise

__version__ = "0.1.0"

# onnxruntime 1.32 keeps an id of the device and reports events unless told not to before it loads.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# Loaded when first asked for (PEP 562), so that `stance --help` does not pay for onnxruntime.
_HOMES = {
    "Bundle": "stance.bundle",
    "BundleError": "stance.errors",
    "ConfigError": "stance.errors",
    "DataError": "stance.errors",
    "HeadPrediction": "stance.results",
    "InputError": "stance.errors",
    "LinkedSource": "stance.linking",
    "Prediction": "stance.results",
    "Predictor": "stance.predictor",
    "Sentence": "stance.sentences",
    "SentencePrediction": "stance.results",
    "Span": "stance.results",
    "StanceError": "stance.errors",
    "Summary": "stance.summary",
    "link_sources": "stance.linking",
    "split_sentences": "stance.sentences",
    "summarise": "stance.summary",
}

__all__ = [
    "Bundle",
    "BundleError",
    "ConfigError",
    "DataError",
    "HeadPrediction",
    "InputError",
    "LinkedSource",
    "Prediction",
    "Predictor",
    "Sentence",
    "SentencePrediction",
    "Span",
    "StanceError",
    "Summary",
    "__version__",
    "link_sources",
    "split_sentences",
    "summarise",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'stance' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
