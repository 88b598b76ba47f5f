"""Whether the words that a bundle points at are the words that it reads.

An explanation is faithful if the prediction depends on it (erasure: DeYoung et al. 2020, ERASER,
«comprehensiveness»). The predicted cue is replaced, and so, in another copy, is a run of as many
other words: no word is neutral in every cue's place, but both copies suffer from that alike. If
the cue bears the certainty, the first costs it far more probability.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from stance.errors import BundleError
from stance.explain import HEAD, NEUTRAL, SPAN, neutralised
from stance.predictor import Predictor
from stance.results import Prediction, Span

SEED: Final = 13


@dataclass(frozen=True, slots=True)
class Faithfulness:
    """Mean loss of probability of the reported certainty, over `rows` with a predicted cue.

    `cue_drop` is without the cue, `random_drop` without as many other words; `cue_changed` and
    `random_changed` are the shares of the rows whose certainty becomes another.
    """

    rows: int
    neutral: str
    cue_drop: float
    random_drop: float
    cue_changed: float
    random_changed: float


def measure_faithfulness(predictor: Predictor, predictions: Sequence[Prediction]) -> Faithfulness:
    """Replace cues and random words, and ask again.

    Rows without a cue, or without enough other words in a run, are left out. The bundle must be
    one that `stance.explain.check_bundle` passes.

    Raises:
        BundleError: no row is left.
    """
    chance = random.Random(SEED)
    rows, without_cue, without_other = [], [], []
    for prediction in predictions:
        cue = prediction.spans.get(SPAN)
        other = cue and _other_words(prediction.text, cue, chance)
        if cue and other:
            rows.append(prediction[HEAD])
            without_cue.append(neutralised(prediction.text, cue.start, cue.end))
            without_other.append(neutralised(prediction.text, *other))
    if not rows:
        raise BundleError(f"{predictor.bundle.path} found no {SPAN} in these rows to measure")

    def compare(texts: Sequence[str]) -> tuple[float, float]:
        answers = [answer[HEAD] for answer in predictor.predict(texts)]
        pairs = list(zip(rows, answers, strict=True))
        drop = sum(row.confidence - now.probabilities[row.model_label] for row, now in pairs)
        changed = sum(row.model_label != now.model_label for row, now in pairs)
        return drop / len(pairs), changed / len(pairs)

    (cue_drop, cue_changed), (random_drop, random_changed) = map(
        compare, (without_cue, without_other)
    )
    return Faithfulness(len(rows), NEUTRAL, cue_drop, random_drop, cue_changed, random_changed)


def _other_words(text: str, cue: Span, chance: random.Random) -> tuple[int, int] | None:
    """A run of as many words as the cue has, apart from it; None if there is none."""
    words = [(word.start(), word.end()) for word in re.finditer(r"\w[\w'’-]*", text)]
    count = max(sum(start < cue.end and end > cue.start for start, end in words), 1)
    runs = [
        (words[first][0], words[first + count - 1][1]) for first in range(len(words) - count + 1)
    ]
    apart = [(start, end) for start, end in runs if end <= cue.start or start >= cue.end]
    return chance.choice(apart) if apart else None
