"""Tests of the sentence splitter: golden paragraphs, the span invariant, linear work."""

import json
import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stance.sentences import Sentence, iter_sentences, split_sentences

GOLDEN = [
    json.loads(line)
    for line in (Path(__file__).parent / "golden" / "sentences.jsonl")
    .read_text(encoding="utf-8")
    .split("\n")
    if line
]

# Every code point, lone surrogates and NUL included, mixed with the pieces that the rules look at.
PIECES = st.sampled_from(
    [
        *(". ", "...", "?!", "…", '."', ".)", "\u201d ", "'", " ", "\n", "\r\n", "\u2028", "\x85"),
        *("Dr.", "PT. ", "No. 1", "A.M. ", "dkk. ", "1. ", "a. ", "Ia ", "Tbk. (", "vitamin C. "),
        *("\x00", "\ud800", "\udfff", "\ufeff", "\u200b", "\u0645\u0631\u062d", "\u202e", "😀"),
    ]
)
TEXTS = st.lists(PIECES | st.text(st.characters(), max_size=5), max_size=40).map("".join)


def assert_spans_cover(text: str, sentences: list[Sentence]) -> None:
    for sentence in sentences:
        assert text[sentence.start : sentence.end] == sentence.text
        assert sentence.text
        assert sentence.text == sentence.text.strip()
        assert len(sentence.text.splitlines()) == 1
    assert all(left.end <= right.start for left, right in pairwise(sentences))
    edges = [0, *(edge for s in sentences for edge in (s.start, s.end)), len(text)]
    gaps = (text[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True))
    assert not any(gap.strip() for gap in gaps)


@pytest.mark.parametrize("case", GOLDEN, ids=[case["text"][:40] for case in GOLDEN])
def test_golden_paragraph(case: dict[str, object]) -> None:
    text = str(case["text"])
    sentences = split_sentences(text)
    assert [sentence.text for sentence in sentences] == case["sentences"]
    assert_spans_cover(text, sentences)


@given(TEXTS)
def test_spans_cover_any_text(text: str) -> None:
    assert_spans_cover(text, split_sentences(text))


@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_lines_are_split_independently(lines: list[str]) -> None:
    lines = [" ".join(line.splitlines()) for line in lines]
    expected = [sentence.text for line in lines for sentence in split_sentences(line)]
    assert [sentence.text for sentence in split_sentences("\n".join(lines))] == expected


@given(TEXTS)
def test_outer_whitespace_only_moves_offsets(text: str) -> None:
    moved = [Sentence(s.text, s.start + 3, s.end + 3) for s in split_sentences(text)]
    assert split_sentences(f" \n\t{text}\n ") == moved


@pytest.mark.parametrize("text", ["", " ", "\n\r\n", "\u2028\u3000"])
def test_blank_text_has_no_sentence(text: str) -> None:
    assert split_sentences(text) == []


def test_offsets_count_code_points() -> None:
    assert split_sentences("😀 Halo.  \ud800 Dua.") == [
        Sentence("😀 Halo.", 0, 7),
        Sentence("\ud800 Dua.", 9, 15),
    ]


def test_iterator_begins_with_the_first_sentence() -> None:
    assert next(iter_sentences("Satu. Dua. Tiga.")) == Sentence("Satu.", 0, 5)


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        ".",
        '"',
        "(",
        " ",
        ". ",
        "A. ",
        ".)",
        '."',
        ". (",
        " . ",
        "1. ",
        "Dr. A ",
        ".\n",
        "\ud800",
    ],
    ids=ascii,
)
@pytest.mark.parametrize("frame", ["{}", "{} Ia", ". {} Ia. Ia"])
def test_time_is_linear(unit: str, frame: str) -> None:
    def seconds(length: int) -> float:
        text = frame.format(unit * (length // len(unit)))
        best = float("inf")
        for _ in range(3):
            began = time.process_time()
            split_sentences(text)
            best = min(best, time.process_time() - began)
        return best

    # Sixteen times the text: linear work costs 16 times as much, quadratic work 256 times.
    assert seconds(80_000) < 64 * seconds(5_000) + 0.05


def test_a_megabyte_without_a_space_is_one_sentence() -> None:
    text = "x." * 500_000
    assert split_sentences(text) == [Sentence(text, 0, len(text))]
