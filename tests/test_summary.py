"""Summaries through the public function and the command line, on prose written here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stance import predictor as predictor_module
from stance.bundle import Bundle, Head
from stance.results import HeadPrediction, SentencePrediction, Span
from stance.summary import summarise

MERGED = {"stated": "alleged"}
SPOKESMAN = "Juru Bicara Balai Kota, Ratih Kumala"
# text, claim type, fine certainty, attribution, source, cue
ARTICLE = [
    ("Jalan Kenari ditutup sejak Mei.", "event", "confirmed", "newsroom", None, None),
    (f"{SPOKESMAN}, mengakui itu.", "event", "confirmed", "named", SPOKESMAN, "mengakui"),
    ('"Perbaikan sudah dimulai.', "event", "stated", "unnamed", None, None),
    ('Dana sudah turun," katanya.', "event", "stated", "named", "katanya", "katanya"),
    ("Ratih membantah dana itu dipotong.", "event", "denied", "named", "Ratih", "membantah"),
    ("Ratih membantah jalan akan dijual.", "prediction", "denied", "named", "Ratih", "membantah"),
    ("Jalan akan dibuka Juli, ujar Ratih.", "prediction", "stated", "named", "Ratih", "ujar"),
    ("Dana itu diduga dipotong.", "event", "alleged", "unnamed", None, "diduga"),
    ("Seorang warga menuding camat.", "event", "alleged", "unnamed", "Seorang warga", "menuding"),
    ("Baca juga: Jalan Kenari", "none", "none", "none", None, None),
]  # fmt: skip


def head(fine: str, label: str | None = None) -> HeadPrediction:
    model = MERGED.get(fine, fine)
    return HeadPrediction(label or model, 0.9, {model: 0.9}, fine, model)


def analysed(rows=ARTICLE, abstain=False):
    text, sentences = "", []
    for sentence, claim_type, certainty, attribution, source, cue in rows:
        start = len(text)
        spans = {}
        for name, words in (("source", source), ("cue", cue)):
            if words is not None:
                at = start + sentence.index(words)
                spans[name] = Span(words, at, at + len(words), 1.0)
        heads = {
            "claim_type": head(claim_type),
            "certainty": head(certainty, "uncertain" if abstain else None),
            "attribution": head(attribution),
        }
        end = start + len(sentence)
        sentences.append(SentencePrediction(sentence, heads, spans=spans, start=start, end=end))
        text += sentence + "\n"
    return text, sentences


def acts(claims):
    return [(claim.act, claim.text.split()[0]) for claim in claims]


def test_a_source_is_merged_under_its_fullest_name():
    [ratih] = summarise(analysed()[1]).named
    assert ratih.name == SPOKESMAN
    assert acts(ratih.claims) == [
        ("confirms", "Juru"),
        ("states", '"Perbaikan'),
        ("states", "Dana"),
        ("denies", "Ratih"),
        ("denies", "Ratih"),
        ("predicts", "Jalan"),
    ]
    assert ratih.counts == {"confirms": 1, "states": 2, "alleges": 0, "denies": 2, "predicts": 1}


def test_every_sentence_is_in_one_place():
    text, sentences = analysed()
    for link in (True, False):
        summary = summarise(sentences, link)
        sources = [*summary.named, *summary.unnamed]
        claims = [*summary.newsroom, *(claim for source in sources for claim in source.claims)]
        assert sorted(c.text for c in claims) == sorted(row[0] for row in ARTICLE[:-1])
        assert all(text[claim.start : claim.end] == claim.text for claim in claims)
        assert summary.without_claim == 1


def test_the_newsroom_and_unnamed_sources_stand_apart():
    summary = summarise(analysed()[1])
    assert acts(summary.newsroom) == [("confirms", "Jalan")]
    assert [(source.name, acts(source.claims)) for source in summary.unnamed] == [
        (None, [("alleges", "Dana")]),
        ("Seorang warga", [("alleges", "Seorang")]),
    ]


def test_without_links_every_form_of_a_name_is_a_source():
    summary = summarise(analysed()[1], link=False)
    assert [source.name for source in summary.named] == [SPOKESMAN, "Ratih"]
    unknown = next(source for source in summary.unnamed if source.name is None)
    assert [claim.text.split()[0] for claim in unknown.claims] == ['"Perbaikan', "Dana", "Dana"]


def test_a_full_name_that_comes_late_still_merges():
    [ratih] = summarise(analysed(ARTICLE[4:5] + ARTICLE[1:2])[1]).named
    assert (ratih.name, len(ratih.claims)) == (SPOKESMAN, 2)


def test_a_quotation_has_a_speaker_whatever_its_label():
    quoted = (ARTICLE[2][0], "event", "confirmed", "newsroom", None, None)
    [ratih] = summarise(analysed([quoted, ARTICLE[3], ARTICLE[1]])[1]).named or [None]
    assert ratih.name == SPOKESMAN


def test_an_abstaining_predictor_counts_by_the_most_probable_label():
    assert summarise(analysed(abstain=True)[1]) == summarise(analysed()[1])


def test_stated_is_shown_as_such_and_counts_as_alleged():
    [ratih] = summarise(analysed()[1]).to_dict()["named"]
    claim = ratih["claims"][2]
    assert (claim["act"], claim["certainty"]) == ("states", "alleged")
    assert claim["linked_by"] == "pronoun"
    assert claim["cue"]["text"] == "katanya"


def test_an_empty_document():
    empty = {"named": [], "unnamed": [], "newsroom": [], "without_claim": 0}
    assert summarise([]).to_dict() == empty


LABELS = {
    "claim_type": ("event", "prediction", "none"),
    "certainty": ("confirmed", "stated", "alleged", "denied", "none"),
    "attribution": ("newsroom", "named", "unnamed", "none"),
}


def bundle(spans=("cue", "source"), **labels):
    heads = tuple(Head(name, words) for name, words in (LABELS | labels).items() if words)
    return Bundle(Path("berkas"), heads, spans, 32, {}, {}, {})


class FixedPredictor:
    """Stands in for a model: the command line is tested, not the labels."""

    bundle = bundle()

    def __init__(self, model=None, threads=None):
        pass

    def analyze_lines(self, lines):
        assert "".join(line.text for line in lines)
        return iter(analysed()[1])


@pytest.fixture
def fixed(monkeypatch):
    monkeypatch.setattr(predictor_module, "Predictor", FixedPredictor)


def test_the_command_prints_a_table(stance, fixed):
    outcome = stance("summary", "-", stdin=b"Jalan Kenari ditutup.")
    assert outcome.status == 0, outcome.err
    words = outcome.out.split()
    assert [word for word in words if word in ("confirms", "denies", "predicts")] == [
        *("confirms", "denies", "denies", "predicts"),
        "confirms",
    ]
    assert outcome.out.index("Ratih") < outcome.out.index("warga") < outcome.out.index("newsroom")


def test_the_command_writes_json(stance, fixed, tmp_path):
    article, output = tmp_path / "a.txt", tmp_path / "a.json"
    article.write_text("Jalan Kenari ditutup.")
    outcome = stance("summary", article, "--format", "json", "-o", output)
    assert (outcome.status, outcome.out) == (0, "")
    expected = {"file": str(article), **summarise(analysed()[1]).to_dict()}
    assert json.loads(output.read_text()) == expected


def test_links_can_be_left_out(stance, fixed):
    outcome = stance("summary", "-", "--format", "json", "--no-link-sources", stdin=b"Jalan.")
    assert len(json.loads(outcome.out)["named"]) == 2


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (bundle(spans=("cue",)), "berkas has no `source` span"),
        (bundle(attribution=()), "berkas has no head attribution"),
        (bundle(certainty=("sure", "none")), "berkas has the certainty sure"),
    ],
)
def test_a_bundle_that_cannot_tell_is_refused_in_one_line(
    stance, fixed, monkeypatch, tmp_path, made, reason
):
    monkeypatch.setattr(FixedPredictor, "bundle", made)
    output = tmp_path / "a.json"
    outcome = stance("summary", "-", "-o", output, stdin=b"Jalan Kenari ditutup.")
    assert outcome.status == 1
    assert reason in outcome.err
    assert outcome.err.count("\n") == 1
    assert not output.exists()


def test_a_terminal_is_not_obeyed(stance, fixed, monkeypatch):
    rows = [("Jalan \x1b[31mKenari ditutup.", "event", "confirmed", "newsroom", None, None)]
    monkeypatch.setattr(FixedPredictor, "analyze_lines", lambda *_: iter(analysed(rows)[1]))
    assert "\x1b[31mKenari" not in stance("summary", "-", stdin=b"Jalan.").out
