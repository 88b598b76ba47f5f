"""Any string has an answer, and offsets always reproduce the text."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stance import Predictor

# Every code point, lone surrogates too, and what breaks readers more often than chance would.
AWKWARD = [
    *("\0", "\ud800", "\udfff", "\ufeff", "\u202e", "\u2066", "\u200d", "\u0301", "\u2028", "\x85"),
    *(
        "\r\n",
        "\n",
        "\r",
        "\t",
        "\v",
        "\x1b[31m",
        "\u00a0",
        "\u3000",
        "🇮🇩",
        "👩‍👩‍👧",
        "ﷺ",
        "ẞ",
        "İ",
    ),
    *(
        "שלום.",
        "مرحبا؟",
        "你好。",
        "Rp1.000.000,00",
        "dr. ",
        '"',
        "”",
        "Polisi membantah. ",
        "kata Budi",
    ),
]
TEXT = st.lists(st.one_of(st.text(max_size=12), st.sampled_from(AWKWARD)), max_size=20).map("".join)
settings.register_profile(
    "stance", max_examples=150, deadline=None, suppress_health_check=list(HealthCheck)
)
settings.load_profile("stance")


@pytest.fixture(scope="module")
def predictor(tiny_bundle):
    return Predictor(tiny_bundle, threads=1)


@given(TEXT)
def test_one_text(predictor, text):
    answer = predictor.predict_one(text)
    assert answer.text == text
    for head in answer.heads.values():
        assert sum(head.probabilities.values()) == pytest.approx(1)
        assert head.confidence == max(head.probabilities.values())
    for span in answer.spans.values():
        assert text[span.start : span.end] == span.text
        assert span.text.strip() == span.text != ""


@given(TEXT)
def test_a_document(predictor, document):
    end = 0
    for sentence in predictor.analyze(document):
        assert sentence.start >= end
        assert not document[end : sentence.start].strip()
        assert document[sentence.start : sentence.end] == sentence.text
        for span in sentence.spans.values():
            assert sentence.start <= span.start < span.end <= sentence.end
            assert document[span.start : span.end] == span.text
        end = sentence.end
    assert not document[end:].strip()


@given(st.lists(TEXT, max_size=6))
def test_company_changes_nothing(predictor, texts):
    assert predictor.predict(texts) == [predictor.predict_one(text) for text in texts]


@pytest.mark.parametrize("unit", ["a", "🙂", "\ud800", "\0", "́", "א", ".", "\n", '"'])
def test_a_megabyte_without_a_space(predictor, unit):
    document = unit * 1_000_000
    sentences = predictor.analyze(document[:20_000] if unit in '.\n"' else document)
    for sentence in sentences:
        assert document[sentence.start : sentence.end] == sentence.text
    if unit == "a":
        assert [sentence.truncated for sentence in sentences] == [True]
