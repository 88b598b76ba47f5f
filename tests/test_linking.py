"""Linking sources across sentences, through the public function, on prose written here."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stance.errors import DataError
from stance.linking import LinkedSource, link_sources
from stance.mentions import Mention
from stance.results import SentencePrediction, Span
from training.linking_score import score
from training.standoff import digest

Row = tuple[str, str | None]

SPOKESMAN = "Juru Bicara Balai Kota, Ratih Kumala"
LEAD = (f"{SPOKESMAN}, mengatakan jalan itu ditutup.", SPOKESMAN)


def document(rows: list[Row]) -> tuple[str, list[SentencePrediction]]:
    """Sentences with the given sources, one after the other."""
    text, sentences = "", []
    for sentence, source in rows:
        start = len(text)
        spans = {}
        if source is not None:
            at = start + sentence.rindex(source)
            spans["source"] = Span(source, at, at + len(source), 1.0)
        end = start + len(sentence)
        sentences.append(SentencePrediction(sentence, {}, spans=spans, start=start, end=end))
        text += sentence + " "
    return text, sentences


def links(rows: list[Row]) -> list[LinkedSource | None]:
    """The links, each checked to be verbatim and in the text."""
    text, sentences = document(rows)
    found = link_sources(sentences)
    assert len(found) == len(sentences)
    for link in found:
        assert link is None or text[link.start : link.end] == link.text
    return found


def last(*rows: Row) -> tuple[str, str] | None:
    """Referent and rule of the last sentence's link."""
    link = links(list(rows))[-1]
    return None if link is None else (link.text, link.rule)


@pytest.mark.parametrize(
    ("sentence", "source"),
    [
        ('"Perbaikan butuh dua pekan," katanya.', "katanya"),
        ("Menurutnya, perbaikan butuh dua pekan.", "Menurutnya"),
        ("Ia menyebut perbaikan butuh dua pekan.", "Ia"),
        ('"Perbaikan butuh dua pekan," ujar dia.', "dia"),
    ],
)
def test_a_pronoun_is_whoever_spoke_last(sentence: str, source: str) -> None:
    earlier = ("Kepala Dinas Tata Ruang, Bagus Wirawan, membantah.", "Bagus Wirawan")
    assert last(earlier, LEAD, (sentence, source)) == (SPOKESMAN, "pronoun")


def test_newsroom_sentences_between_do_not_matter() -> None:
    rows = [LEAD, ("Jalan itu rusak sejak Mei.", None), ("Hujan turun tiap sore.", None)]
    assert last(*rows, ('"Kami menunggu," ucapnya.', "ucapnya")) == (SPOKESMAN, "pronoun")


def test_a_speaker_far_back_is_not_linked() -> None:
    between = [(f"Jalan ke-{number} rusak.", None) for number in range(12)]
    assert last(LEAD, *between, ('"Kami menunggu," ucapnya.', "ucapnya")) is None


def test_an_institution_a_document_or_a_crowd_is_no_antecedent_of_a_person() -> None:
    for source in ("Kementerian Pekerjaan Umum", "para warga", "BMKG"):
        rows = [(f"{source} mengatakan jalan itu ditutup.", source)]
        assert last(*rows, ("Ia menyebut itu perlu.", "Ia")) is None


def test_a_pronoun_after_an_unknown_speaker_is_not_linked() -> None:
    rows = [LEAD, ("Mereka mengatakan sebaliknya.", "Mereka")]
    assert last(*rows, ("Ia menyebut itu perlu.", "Ia")) is None


def test_a_pronoun_is_the_person_whom_the_lead_is_about() -> None:
    lead = ("JAKARTA - Gubernur Banten Tirta Saputra meresmikan jembatan.", None)
    expected = ("Gubernur Banten Tirta Saputra", "pronoun")
    assert last(lead, ("Ia menyebut jembatan itu kuat.", "Ia")) == expected


def test_a_short_name_is_the_full_one() -> None:
    assert last(LEAD, ('"Dua pekan," kata Ratih.', "Ratih")) == (SPOKESMAN, "name")


@pytest.mark.parametrize("tail", ["dalam keterangan tertulis", "selaku ketua tim", "yang hadir"])
def test_what_follows_a_name_is_not_part_of_it(tail: str) -> None:
    assert Mention(f"Menteri Sri Mulyani, {tail}", 0, 0).name == ("Sri", "Mulyani")


def test_a_full_name_is_not_linked() -> None:
    assert links([LEAD]) == [None]
    assert last(LEAD, (f"{SPOKESMAN}, menambahkan itu perlu.", SPOKESMAN)) is None


def test_a_name_that_two_people_share_is_not_linked() -> None:
    rows = [LEAD, ("Warga, Ratih Sari, membantah.", "Ratih Sari")]
    assert last(*rows, ('"Dua pekan," kata Ratih.', "Ratih")) is None


@pytest.mark.parametrize("place", ["Iran", "Jepang"])
def test_a_country_is_not_its_minister(place: str) -> None:
    minister = f"Menteri Luar Negeri {place} Abas Rahimi"
    rows = [(f"{minister} mengatakan perundingan dimulai.", minister)]
    assert last(*rows, (f"{place} membantah kabar itu.", place)) is None


def test_an_acronym_is_the_institution_that_gave_it() -> None:
    badan = "Badan Pengawas Jalan (BPJ)"
    rows = [(f"{badan} mencatat tiga jembatan rusak.", badan)]
    assert last(*rows, ("BPJ menyebut perbaikan dimulai Mei.", "BPJ")) == (badan, "name")


def test_a_role_is_the_mention_that_begins_with_it() -> None:
    badan = "Badan Pengawas Jalan"
    rows = [(f"{badan} mencatat tiga jembatan rusak.", badan), LEAD]
    assert last(*rows, ("Badan itu menyebut perbaikan lambat.", "Badan itu")) == (badan, "role")


def test_a_described_person_is_whoever_spoke_last() -> None:
    sentence = "Perempuan berusia 40 tahun itu menyebut perbaikan butuh dua pekan."
    assert last(LEAD, (sentence, "Perempuan berusia 40 tahun itu")) == (SPOKESMAN, "role")


def test_a_document_is_not_a_person() -> None:
    assert last(LEAD, ("Laporan itu menyebut tiga jembatan rusak.", "Laporan itu")) is None


def test_pihaknya_is_the_speaker_or_the_institution() -> None:
    sentence = ("Pihaknya belum bisa memastikan penyebabnya.", "Pihaknya")
    assert last(LEAD, sentence) == (SPOKESMAN, "institution")
    ministry = ("Kementerian Perhubungan membantah.", "Kementerian Perhubungan")
    assert last(LEAD, ministry, sentence) == ("Kementerian Perhubungan", "institution")


@pytest.mark.parametrize(("opening", "closing"), ["“”", '""'])
def test_a_quotation_belongs_to_the_speaker_at_its_end(opening: str, closing: str) -> None:
    rows: list[Row] = [
        ("Jalan itu ditutup sejak Mei.", None),
        (f"{opening}Kami menunggu dana.", None),
        ("Dana itu belum turun.", None),
        (f"Mungkin Juli,{closing} kata {SPOKESMAN}.", SPOKESMAN),
        ("Hujan turun tiap sore.", None),
    ]
    found = links(rows)
    assert [link and (link.text, link.rule) for link in found] == [
        None,
        (SPOKESMAN, "quotation"),
        (SPOKESMAN, "quotation"),
        None,
        None,
    ]


def test_a_quotation_without_a_speaker_belongs_to_the_sentence_before() -> None:
    rows = [LEAD, ('"Kami menunggu dana.', None), ('Dana itu belum turun."', None)]
    assert last(*rows) == (SPOKESMAN, "quotation")


def test_a_quotation_that_goes_on_after_the_speaker() -> None:
    rows = [(f'"Kami menunggu," kata {SPOKESMAN}, "dan berharap.', SPOKESMAN)]
    assert last(*rows, ('Dana itu belum turun."', None)) == (SPOKESMAN, "quotation")


def test_a_forgotten_mark_does_not_put_words_into_a_mouth() -> None:
    rows = [(f'"Kami menunggu, kata {SPOKESMAN}.', SPOKESMAN)]
    assert last(*rows, ("Jalan itu rusak sejak Mei.", None)) is None


def test_a_title_in_quotation_marks_is_no_quotation() -> None:
    assert last(LEAD, ('"Jalan Pulang" adalah judul film itu.', None)) is None


def test_the_saya_of_a_quotation_is_its_speaker() -> None:
    rows: list[Row] = [
        ('"Saya pastikan aman.', "Saya"),
        (f'Percayalah," kata {SPOKESMAN}.', SPOKESMAN),
    ]
    assert links(rows)[0] is not None


def test_nothing_to_link() -> None:
    assert link_sources([]) == []
    assert links([("...", None), ('"', None), ("“”", None)]) == [None, None, None]


PIECES = [
    *("Kirby", "John", "Menteri", "Badan (BPJ)", "PT", "itu", "kata", "katanya", "Pihaknya", "ia"),
    *('"', "“", "”", ",", ".", "(", ")", "-", "Iran", "S.H.", "ujar", "selaku", "Hakim", "é", "7"),
]


@st.composite
def documents(draw: st.DrawFn) -> list[Row]:
    rows: list[Row] = []
    for _ in range(draw(st.integers(0, 7))):
        words = draw(st.lists(st.sampled_from(PIECES), min_size=1, max_size=6))
        first = draw(st.integers(0, len(words)))
        source = " ".join(words[first : first + draw(st.integers(0, 4))])
        rows.append((" ".join(words), source or None))
    return rows


@given(documents())
def test_no_text_breaks_it_and_every_link_is_verbatim(rows: list[Row]) -> None:
    links(rows)


@pytest.mark.parametrize("piece", ["A", "A ", "(", "A, ", '" ', "A-", "A.", "Di", "Menteri, "])
def test_a_long_line_takes_linear_time(piece: str) -> None:
    started = time.perf_counter()
    links([(piece * (20_000 // len(piece)), None)])
    assert time.perf_counter() - started < 5


def test_a_link_as_json() -> None:
    link = LinkedSource("Ratih", 3, 8, "name")
    assert link.to_dict() == {"text": "Ratih", "start": 3, "end": 8, "rule": "name"}


def marked_article(tmp_path: Path) -> tuple[Path, Path]:
    """An article in which the rules are right once, wrong once, and miss a link once."""
    rows: list[Row] = [
        LEAD,
        ('"Dua pekan," kata Ratih.', "Ratih"),
        ('"Tiga pekan," katanya.', "katanya"),
        ("Kakanwil menyebut empat pekan.", "Kakanwil"),
        ("Jalan itu rusak.", None),
    ]
    text, sentences = document(rows)
    place = text.index(SPOKESMAN)
    full = [place, place + len(SPOKESMAN)]
    other = [text.index("Kakanwil"), text.index("Kakanwil") + 8]
    speakers = {
        "r": {"full": full, "mentions": [full]},
        "k": {"full": [0, 4], "mentions": [other]},
    }
    marks = [
        {
            "start": sentence.start,
            "end": sentence.end,
            "sha256": digest(sentence.text),
            "source": [source.start, source.end] if source else None,
            "speaker": speaker,
        }
        for sentence, speaker in zip(sentences, ["r", "r", "k", "k", None], strict=True)
        for source in [sentence.spans.get("source")]
    ]
    row = {"doc": "a", "part": "text", "split": "measure", "speakers": speakers, "sentences": marks}
    gold, articles = tmp_path / "gold.jsonl", tmp_path / "articles.jsonl"
    gold.write_text(json.dumps(row), encoding="utf-8")
    articles.write_text(json.dumps({"id": "a", "text": text}), encoding="utf-8")
    return gold, articles


def test_the_score_counts_links_that_are_right_wrong_and_missing(tmp_path: Path) -> None:
    outcomes = score(*marked_article(tmp_path), "measure")
    assert [(o.linkable, o.link is not None, o.right) for o in outcomes] == [
        (False, False, False),
        (True, True, True),
        (True, True, False),
        (True, False, False),
        (False, False, False),
    ]


def test_the_score_needs_the_article_that_was_marked(tmp_path: Path) -> None:
    gold, articles = marked_article(tmp_path)
    articles.write_text(articles.read_text().replace("Dua pekan", "Dua bulan"))
    with pytest.raises(DataError, match="not the one that was marked"):
        score(gold, articles, "measure")
    articles.write_text(json.dumps({"id": "b", "text": "Jalan."}))
    with pytest.raises(DataError, match="lacks 1 of the marked articles"):
        score(gold, articles, "measure")
