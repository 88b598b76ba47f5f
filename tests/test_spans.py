"""Spans out of the scores of tokens: the decoder and the loss against every possible answer."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from stance.spans import BEGIN, INSIDE, NOTHING, OUTSIDE, best_tokens, decode_span

TEXT = "Menurut Kirby, kabar itu benar."
OFFSETS = [(0, 0), (0, 7), (8, 13), (13, 14), (15, 20), (21, 24), (25, 30), (30, 31), (0, 0)]


def tags_of(span: tuple[int, int], tokens: int) -> list[int]:
    begin, end = span
    if span == NOTHING:
        return [OUTSIDE] * tokens
    return [
        BEGIN if at == begin else INSIDE if begin < at <= end else OUTSIDE for at in range(tokens)
    ]


def answers(tokens: int) -> list[tuple[int, int]]:
    """All answers with at most one span; the first token is a special one."""
    return [NOTHING, *((i, j) for i, j in product(range(1, tokens), repeat=2) if i <= j)]


@pytest.mark.parametrize("seed", range(30))
def test_the_answer_is_the_likeliest_of_all_with_one_span_or_none(seed):
    logits = np.random.default_rng(seed).normal(size=(7, 3), scale=2).astype(np.float32)
    log = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    likelihood = {
        span: np.exp(sum(log[at, tag] for at, tag in enumerate(tags_of(span, 7))))
        for span in answers(7)
    }
    best = max(likelihood, key=likelihood.__getitem__)
    span, probability = best_tokens(logits)
    assert span == best
    assert probability == pytest.approx(likelihood[best] / sum(likelihood.values()), rel=1e-4)


def test_what_is_no_word_is_in_no_span():
    logits = np.zeros((5, 3))
    logits[:, BEGIN] = 9  # the first and the last token, special ones, want to be spans too
    words = np.array([False, False, True, False, False])
    assert best_tokens(logits, words)[0] == (2, 2)
    assert best_tokens(logits, np.zeros(5, dtype=bool)) == (NOTHING, 1.0)


def test_a_span_is_words_of_the_text_with_their_place():
    logits = np.full((len(OFFSETS), 3), -5.0)
    logits[:, OUTSIDE] = 5
    logits[4] = (-5, 5, -5)
    logits[5] = (-5, -5, 5)
    span = decode_span(logits, OFFSETS, TEXT)
    assert span is not None
    assert (span.text, span.start, span.end) == ("kabar itu", 15, 24)
    assert TEXT[span.start : span.end] == span.text
    assert span.confidence == pytest.approx(1, abs=1e-3)
    logits[4] = (5, -5, -5)  # an I without a B begins nothing
    assert decode_span(logits, OFFSETS, TEXT) is None


def test_the_bundles_before_format_4_score_first_and_last_tokens():
    logits = np.zeros((len(OFFSETS), 2))
    logits[4, 0] = logits[5, 1] = 8
    span = decode_span(logits, OFFSETS, TEXT)
    assert span is not None
    assert span.text == "kabar itu"
    assert span.confidence == pytest.approx(1 / (1 + 14 / np.exp(8)), abs=0.01)
    logits[0] = 20
    assert decode_span(logits, OFFSETS, TEXT) is None


def test_the_loss_is_the_likelihood_that_the_decoder_reads(tiny_config):
    torch = pytest.importorskip("torch", reason="training needs the `train` extra")
    from training.batches import MISSING
    from training.config import load_config
    from training.losses import BatchLoss

    config = load_config(tiny_config, ["spans={cue: {weight: 2}}"])
    cost = BatchLoss(config, {}, torch.device("cpu"))
    silent = {name: torch.zeros(1, len(head.labels)) for name, head in config.heads.items()}
    unknown = {name: torch.tensor([MISSING]) for name in config.heads}
    logits = torch.randn(1, 8, 3, generator=torch.Generator().manual_seed(3))
    logits[:, 6:, 1:] = -1e4  # padding, as the model scores it
    costs = {
        span: float(cost({"cue": logits, **silent}, {"cue": torch.tensor([span]), **unknown}))
        for span in answers(6)
    }
    assert sum(np.exp(-value / 2) for value in costs.values()) == pytest.approx(1, rel=1e-4)
    span, probability = best_tokens(logits[0].numpy())
    assert span == min(costs, key=costs.__getitem__)
    assert np.exp(-costs[span] / 2) == pytest.approx(probability, rel=1e-4)
    both = torch.cat([logits, logits.flip(1)])  # a row without an annotation costs nothing
    target = {"cue": torch.tensor([[2, 4], [MISSING, MISSING]])}
    silent = {name: scores.repeat(2, 1) for name, scores in silent.items()}
    unknown = {name: labels.repeat(2) for name, labels in unknown.items()}
    got = float(cost({"cue": both, **silent}, {**target, **unknown}))
    assert got == pytest.approx(costs[2, 4], rel=1e-5)
    # R-Drop weighs how far the answers of the two halves are apart.
    config = load_config(tiny_config, ["spans={cue: {weight: 2}}", "train.rdrop=1"])
    dropped = BatchLoss(config, {}, torch.device("cpu"))
    target = {"cue": torch.tensor([[2, 4], [2, 4]]), **unknown}
    same = float(dropped({"cue": logits.repeat(2, 1, 1), **silent}, target))
    assert same == pytest.approx(costs[2, 4], rel=1e-5)
    apart = float(dropped({"cue": both, **silent}, target))
    assert np.isfinite(apart)
    assert apart > float(cost({"cue": both, **silent}, target))
