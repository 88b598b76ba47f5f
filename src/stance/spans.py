"""From scores of tokens to words of the text: extractive spans with a null answer.

A span output scores every token as the first and as the last of the span; the first position, a
special token, stands for «no span», as in extractive question answering with unanswerable
questions (Devlin et al. 2019, section 4.3).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stance.results import Span

MAX_TOKENS = 40  # 99.9 % of annotated spans are shorter


def best_tokens(
    logits: np.ndarray, words: np.ndarray | None = None
) -> tuple[tuple[int, int], float]:
    """The most probable first and last token, (0, 0) for «no span», and their probability.

    Args:
        logits: shape (tokens, 2): scores of being the first and the last token.
        words: shape (tokens,), False where a token cannot be part of a span; all but the first
            can when omitted.
    """
    scores = logits.astype(np.float64)
    first, last = (scores - np.logaddexp.reduce(scores, axis=0)).T
    positions = np.arange(len(logits))
    length = positions - positions[:, None]
    allowed = (length >= 0) & (length < MAX_TOKENS)
    if words is not None:
        allowed &= words & words[:, None]
    allowed[0] = allowed[:, 0] = False
    allowed[0, 0] = True
    joint = np.where(allowed, first[:, None] + last, -np.inf)
    begin, end = np.unravel_index(np.argmax(joint), joint.shape)
    return (int(begin), int(end)), float(np.exp(joint[begin, end]))


def decode_span(logits: np.ndarray, offsets: Sequence[tuple[int, int]], text: str) -> Span | None:
    """The most probable span, or None where «no span» is more probable.

    Args:
        logits: shape (tokens, 2), as in `best_tokens`.
        offsets: each token's characters in `text`; special tokens have none.
        text: what the tokens were made of.
    """
    starts, stops = np.array(offsets, dtype=np.int64).T
    (begin, end), confidence = best_tokens(logits, stops > starts)
    words = text[starts[begin] : stops[end]]
    stripped = words.strip()
    if begin == 0 or not stripped:
        return None
    start = int(starts[begin]) + len(words) - len(words.lstrip())
    return Span(stripped, start, start + len(stripped), confidence)
