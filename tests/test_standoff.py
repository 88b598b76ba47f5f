from __future__ import annotations

import gzip
import json

import pytest

from training.standoff import attach, digest

SENTENCE = "Pemkot membantah ada pungutan."


def standoff_row(**changes):
    row = {
        "doc": "a1",
        "part": "text",
        "start": 11,
        "end": 11 + len(SENTENCE),
        "sha256": digest(SENTENCE),
        "claim_type": "event",
        "certainty": "denied",
        "attribution": "named",
        "cue": [7, 16],
        "source": [0, 6],
    }
    return {**row, **changes}


@pytest.fixture
def articles(tmp_path):
    path = tmp_path / "articles.jsonl.gz"
    article = {"id": "a1", "title": "Pungutan", "text": f"MALANG - \n\n{SENTENCE} Warga lega."}
    with gzip.open(path, "wt", encoding="utf-8") as stream:
        stream.write(json.dumps(article) + "\n")
    return path


def labels(tmp_path, *rows):
    path = tmp_path / "labels.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_sentence_and_spans_come_back(tmp_path, articles):
    (row,) = attach(labels(tmp_path, standoff_row(), standoff_row(doc="absent")), [articles])
    assert (row["text"], row["cue"], row["source"]) == (SENTENCE, "membantah", "Pemkot")
    assert row["certainty"] == "denied"


def test_a_changed_article_is_refused(stance, tmp_path, articles):
    path = labels(tmp_path, standoff_row(start=10))
    outcome = stance("data", "attach", path, articles, "-o", tmp_path / "rows.jsonl")
    assert outcome.status == 1
    assert "not the text that was labelled" in outcome.err
    assert not (tmp_path / "rows.jsonl").exists()


def test_the_command_writes_rows(stance, tmp_path, articles):
    out = tmp_path / "rows.jsonl"
    path = labels(tmp_path, standoff_row())
    assert stance("data", "attach", path, articles, "-o", out).status == 0
    assert json.loads(out.read_text())["text"] == SENTENCE


def test_rows_are_corrected_by_id(stance, tmp_path):
    rows, fixes, out = tmp_path / "rows.jsonl", tmp_path / "fixes.json", tmp_path / "out.jsonl"
    rows.write_text('{"id": "t1", "certainty": "alleged"}\n{"id": "t2", "certainty": "denied"}\n')
    fixes.write_text('{"t1": {"certainty": "confirmed", "cue": null}}')
    assert stance("data", "relabel", rows, fixes, "-o", out).status == 0
    assert [json.loads(line) for line in out.read_text().splitlines()] == [
        {"id": "t1", "certainty": "confirmed", "cue": None},
        {"id": "t2", "certainty": "denied"},
    ]
    fixes.write_text('{"t3": {"certainty": "confirmed"}}')
    outcome = stance("data", "relabel", rows, fixes, "-o", tmp_path / "none.jsonl")
    assert outcome.status == 1
    assert "'t3'" in outcome.err
    assert not (tmp_path / "none.jsonl").exists()


def test_words_are_unknown_where_readers_did_not_agree_on_their_label(tmp_path, articles):
    unclear = standoff_row(certainty=None, cue=None)
    (row,) = attach(labels(tmp_path, unclear), [articles])
    assert (row["cue"], row["source"]) == (None, "Pemkot")
    flat = standoff_row(certainty="confirmed", cue=None)
    (row,) = attach(labels(tmp_path, flat), [articles])
    assert row["cue"] == ""
