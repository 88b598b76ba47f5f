"""From scores of tokens to words of the text: the best answer with one span, or with none.

A span output scores every token as outside of the span, as its first token, or as a further one
inside (BIO tags: Ramshaw and Marcus 1995, "Text Chunking using Transformation-Based Learning"). As
a sentence has at most one span of a kind, an answer is not any path of tags but one with a single
segment or none, and its probability is that among all of these (a semi-Markov conditional random
field, Sarawagi and Cohen 2004, of one segment). Training maximises the same probability, but knows
no limit of length.

Bundles before format 4 score every token as the span's first and as its last instead, the first
position standing for «no span» (Devlin et al. 2019, section 4.3); these are read as well, as the
width of their outputs tells, with a probability among the same answers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stance.results import Span

OUTSIDE, BEGIN, INSIDE = TAGS = range(3)
NOTHING = (0, 0)  # «no span», where first and last token are asked for
MAX_TOKENS = 40  # 99.9 % of annotated spans are shorter


def best_tokens(
    logits: np.ndarray, words: np.ndarray | None = None
) -> tuple[tuple[int, int], float]:
    """The most probable first and last token, `NOTHING` for no span, and their probability.

    Args:
        logits: shape (tokens, 3), scores of the tags; or (tokens, 2), scores of being the first
            and the last token.
        words: shape (tokens,), False where a token cannot be part of a span; all but the first
            can when omitted.
    """
    positions = np.arange(len(logits))
    length = positions - positions[:, None]
    allowed = (length >= 0) & (length < MAX_TOKENS)
    if words is not None:
        allowed &= words & words[:, None]
    allowed[0] = allowed[:, 0] = False
    allowed[NOTHING] = True
    scores = np.where(allowed, _scores(logits.astype(np.float64)), -np.inf)
    best = int(np.argmax(scores))
    probability = 1 / np.exp(scores - scores.flat[best]).sum()
    begin, end = divmod(best, len(logits))
    return (begin, end), float(probability)


def _scores(logits: np.ndarray) -> np.ndarray:
    """Of every first (row) and last token (column), in logarithms, up to a constant."""
    if logits.shape[1] != len(TAGS):
        first, last = logits.T
        pairs: np.ndarray = first[:, None] + last
        return pairs
    # Against all tokens being outside: what the first one adds, and each further one inside.
    added = logits - logits[:, [OUTSIDE]]
    inside = np.cumsum(added[:, INSIDE])
    pairs = (added[:, BEGIN] - inside)[:, None] + inside
    pairs[NOTHING] = 0.0
    return pairs


def decode_span(logits: np.ndarray, offsets: Sequence[tuple[int, int]], text: str) -> Span | None:
    """The most probable span, or None where «no span» is more probable.

    Args:
        logits: shape (tokens, 3) or (tokens, 2), as in `best_tokens`.
        offsets: each token's characters in `text`; special tokens have none.
        text: what the tokens were made of.
    """
    starts, stops = np.array(offsets, dtype=np.int64).T
    (begin, end), confidence = best_tokens(logits, stops > starts)
    words = text[starts[begin] : stops[end]]
    stripped = words.strip()
    if (begin, end) == NOTHING or not stripped:
        return None
    start = int(starts[begin]) + len(words) - len(words.lstrip())
    return Span(stripped, start, start + len(stripped), confidence)
