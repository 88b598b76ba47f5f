"""What the cue is worth: a sentence's certainty with its cue and without it.

A prediction that points at the words which decide it is to be believed only if it changes without
them (erasure: DeYoung et al. 2020, ERASER, «comprehensiveness»). The cue is replaced by a neutral
word, since a sentence with a hole in it is of no kind that the model has read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from stance.bundle import Bundle
from stance.errors import BundleError
from stance.predictor import Predictor
from stance.results import HeadPrediction, Prediction, SentencePrediction, Span

HEAD: Final = "certainty"  # what the cue decides
SPAN: Final = "cue"
# «Also»: it stands where a verb, an auxiliary or an adverb can, says nothing of certainty and
# brings no speaker in. `stance evaluate --faithfulness` measures what it does in a cue's place and
# in the place of other words.
NEUTRAL: Final = "juga"


@dataclass(frozen=True, slots=True)
class Explanation:
    """A prediction's certainty, and what it would be without the cue.

    `without_cue` is the certainty of `counterfactual`, the text with its cue replaced by a neutral
    word. Both are None where no cue was found.
    """

    certainty: HeadPrediction
    cue: Span | None
    source: Span | None
    counterfactual: str | None
    without_cue: HeadPrediction | None

    @property
    def probability_without_cue(self) -> float | None:
        """Probability, without the cue, of the certainty that the sentence has with it."""
        if self.without_cue is None:
            return None
        return self.without_cue.probabilities[self.certainty.model_label]

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form; cue and source stand in the prediction's own."""
        probability = self.probability_without_cue
        return {
            "text": self.counterfactual,
            "certainty": None if self.without_cue is None else self.without_cue.model_label,
            "probability": None if probability is None else round(probability, 4),
        }


def check_bundle(bundle: Bundle) -> None:
    """See that a bundle can be explained.

    Raises:
        BundleError: it has no certainty or no `cue` span.
    """
    if SPAN not in bundle.spans or HEAD not in {head.name for head in bundle.heads}:
        raise BundleError(
            f"{bundle.path} has no `{SPAN}` span for `{HEAD}`, so nothing can be explained: "
            "train it with spans, or name another with --model"
        )


def explain(predictor: Predictor, prediction: Prediction) -> Explanation:
    """Ask again without the cue.

    Args:
        predictor: the one that made the prediction.
        prediction: of a text, or of a sentence of a document.
    """
    cue, source = prediction.spans.get(SPAN), prediction.spans.get("source")
    if cue is None:
        return Explanation(prediction[HEAD], None, source, None, None)
    offset = prediction.start if isinstance(prediction, SentencePrediction) else 0
    text = neutralised(prediction.text, cue.start - offset, cue.end - offset)
    return Explanation(prediction[HEAD], cue, source, text, predictor.predict_one(text)[HEAD])


def neutralised(text: str, start: int, end: int) -> str:
    """The text with a neutral word, capitalised as they are, in place of `text[start:end]`."""
    word = NEUTRAL.capitalize() if text[start].isupper() else NEUTRAL
    return text[:start] + word + text[end:]
