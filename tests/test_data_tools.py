from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import pytest
from labelled import CLEAN, LONG, denial, row, run, write

pytest.importorskip("datasketch", reason="the data tools need the `train` extra")

from stance import DataError
from stance.errors import StanceError
from training.agreement import agreement
from training.check import SCHEME, check
from training.near_duplicates import near_duplicates, shared_runs


def errors(*paths: Path, against: tuple[Path, ...] = ()) -> list[str]:
    report = check([str(path) for path in paths], [str(path) for path in against])
    return [f"{Path(error.origin).name}: {error.message}" for error in report.errors]


def test_a_clean_file_passes_and_is_counted(tmp_path):
    report = check([str(write(tmp_path / "train" / "politik.jsonl", CLEAN))])
    assert report.errors == ()
    counts = report.splits["train"]
    assert (counts.rows, counts.groups, counts.misleading) == (5, 1, 1)
    assert counts.words[-1] == len(LONG.split())
    assert counts.classes["claim_type"]["event"] == 3
    assert sum(counts.classes["attribution"].values()) == 5


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("{", "not valid JSON"),
        ("[1]", "not a JSON object"),
        (denial(text=...), "text is missing"),
        (denial(text="", cue="", source=""), "text is missing"),
        (denial(certainty=...), "certainty is missing"),
        (denial(certainty="yakin"), "certainty 'yakin' is not in the scheme (confirmed, "),
        (denial(claim_type=3), "claim_type is not a string"),
        (denial(sourc="x"), "unknown key 'sourc'; did you mean 'source'?"),
        (denial(misleading="mungkin"), "misleading is true or left out"),
        (denial(cue="menyangkal"), "cue 'menyangkal' is not verbatim"),
        (denial(source="bupati kepulauan"), "source 'bupati kepulauan' is not verbatim"),
        (denial(attribution="none"), "none stands in attribution only"),
        (row("Tim Redaksi", "none none none", cue="Tim"), "a none row has no cue"),
        (row("Tim Redaksi", "none none none", source="Tim"), "a none row has no source"),
        (denial(attribution="newsroom"), "a newsroom row has no source"),
        (denial(source=""), "a named row needs its source"),
        (denial(certainty="stated", attribution="newsroom", source=""), "stated with newsroom"),
        (denial(cue=""), "denied needs its cue"),
        (denial(certainty="alleged", cue=""), "alleged needs its cue"),
        (denial(text=LONG.replace(" dipakai", "\ndipakai")), "line break"),
        (denial(text=LONG + " "), "leading, trailing or double spaces"),
        (denial(text=LONG.replace(" dipakai", "  dipakai")), "leading, trailing or double spaces"),
        (denial(text=LONG + " lagi" * 500), "2,000 are the most"),
        (denial(text=LONG + " \ud83d"), "lone surrogate"),
    ],
)
def test_every_broken_row_is_named(tmp_path, broken, message):
    file = write(tmp_path / "x.jsonl", [CLEAN[1], broken])
    found = errors(file)
    assert any(error.startswith("x.jsonl:2: ") and message in error for error in found), found


def test_rows_may_have_nothing_but_text_and_labels(tmp_path):
    bare = denial(cue=..., source=..., id=..., topic=...)
    table = tmp_path / "own.csv"
    table.write_text(
        "text,claim_type,certainty,attribution,group,misleading\n"
        "Korban diduga terpeleset.,event,alleged,unnamed,,\n"
        "Inflasi tercatat 2 persen.,quantity,confirmed,newsroom,,true\n",
        encoding="utf-8",
    )
    assert errors(write(tmp_path / "own.jsonl", [bare]), table) == []


def test_all_errors_are_collected_even_after_a_broken_line(tmp_path):
    found = errors(write(tmp_path / "x.jsonl", [denial(cue="x"), "{", denial(id="z", topic=5)]))
    assert [error[:10] for error in found] == ["x.jsonl:1:", "x.jsonl:2:"] + ["x.jsonl:3:"] * 2


def test_ids_and_texts_stand_once(tmp_path):
    one = write(tmp_path / "one.jsonl", [CLEAN[1]])
    again = {**CLEAN[1], "text": "sidang akan digelar: SENIN"}
    found = errors(one, write(tmp_path / "two.jsonl", [again]))
    assert any("id 'b' stands already at" in error for error in found)
    assert any("the same text stands already at" in error for error in found)
    assert errors(one, one) == []  # a file named twice is read once


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (CLEAN[3:4], "has 1 rows"),
        (
            [{**CLEAN[3], "text": f"KPU mengakui {n} surat suara kurang."} for n in "abcdef"],
            "has 6",
        ),
        ([CLEAN[3], {**CLEAN[3], "text": "KPU mengakui ada kotak kosong."}], "all rows have the"),
    ],
)
def test_contrast_groups_contrast(tmp_path, members, message):
    assert any(message in error for error in errors(write(tmp_path / "x.jsonl", members)))


def test_groups_and_topics_keep_to_one_split(tmp_path):
    write(tmp_path / "train" / "x.jsonl", [{**CLEAN[3], "topic": "pilkada"}])
    write(tmp_path / "dev" / "x.jsonl", [{**CLEAN[4], "topic": "pilkada"}])
    found = errors(tmp_path)
    assert any("group 'g' is spread over train, dev" in error for error in found)
    assert any("topic 'pilkada' is spread over train, dev" in error for error in found)


def test_near_duplicates_are_errors_only_across_splits(tmp_path):
    twin = denial(id="z", topic=..., text=LONG.replace("empat miliar", "lima miliar"))
    write(tmp_path / "train" / "x.jsonl", [denial(), twin])
    assert errors(tmp_path) == []
    write(tmp_path / "train" / "x.jsonl", [denial()])
    write(tmp_path / "test" / "x.jsonl", [twin])
    (found,) = errors(tmp_path)
    assert "near-duplicate of" in found


def test_a_row_may_not_repeat_reference_text(tmp_path):
    file = write(tmp_path / "x.jsonl", [CLEAN[1], denial()])
    lead, tail = LONG.split(" dipakai ")
    run_of_12 = lead.upper().replace(" Tarempa", ", Tarempa")
    text = tmp_path / "wrapped.txt"
    text.write_text(run_of_12.replace(" SEBESAR", "\nSEBESAR"), encoding="utf-8")
    packed = tmp_path / "news.jsonl.gz"
    packed.write_bytes(gzip.compress(json.dumps({"body": {"p": [LONG]}}).encode()))
    apart = write(tmp_path / "apart.jsonl", [{"title": lead[:60], "body": tail}])
    for reference in (text, packed):
        (found,) = errors(file, against=(reference,))
        assert found.startswith("x.jsonl:2: shares running words")
    assert errors(file, against=(apart,)) == []
    for bad in (tmp_path / "none.txt", write(tmp_path / "broken.jsonl", ["{"]), tmp_path / "a.pdf"):
        with pytest.raises(DataError, match=bad.name):
            shared_runs([LONG], [bad])


def test_rare_classes_of_train_are_warnings(tmp_path):
    file = write(tmp_path / "train" / "x.jsonl", CLEAN)
    warned = [warning.split(":")[0] for warning in check([str(file)]).warnings]
    assert "certainty stated" in warned
    assert "claim_type event" not in warned


def test_the_second_reader_is_no_part_of_the_data(tmp_path):
    write(tmp_path / "data" / "train" / "x.jsonl", CLEAN)
    write(tmp_path / "data" / "second_reader" / "x.jsonl", [{"id": "a", "certainty": "denied"}])
    assert errors(tmp_path / "data") == []


def test_near_duplicates_finds_the_pair_and_its_similarity():
    texts = ["Gempa mengguncang Ternate.", LONG, "", LONG.upper(), LONG.replace("empat", "lima")]
    pairs = near_duplicates(texts)
    assert [pair[:2] for pair in pairs] == [(1, 3), (1, 4), (3, 4)]
    assert pairs[0][2] == 1.0
    assert 0.65 <= pairs[1][2] < 1.0
    assert pairs == near_duplicates(texts)


def second(name: str, labels: str) -> dict:
    return {"id": name, **dict(zip(SCHEME, labels.split(), strict=True))}


def test_agreement_equals_the_published_example():
    # Krippendorff 2011, section B: two observers, ten units, two values; alpha is 0.095.
    values = {"0": "event confirmed newsroom", "1": "event stated named"}
    gold = [second(str(n), values[v]) for n, v in enumerate("0100000010")]
    other = [second(str(n), values[v]) for n, v in enumerate("1110010000")]
    result = agreement(gold, other)
    head = result.heads["attribution"]
    assert (head.rows, head.raw) == (10, 0.6)
    assert head.alpha == pytest.approx(0.095, abs=5e-4)
    assert head.kappa == pytest.approx((0.6 - 0.56) / 0.44)
    assert head.f1 == pytest.approx({"newsroom": 2 * 5 / 14, "named": 2 * 1 / 6})
    assert str(result.heads["claim_type"].kappa) == "nan"
    assert [(d.id, d.gold, d.second) for d in result.disagreements if d.head == "attribution"] == [
        ("0", "newsroom", "named"),
        ("2", "newsroom", "named"),
        ("5", "newsroom", "named"),
        ("8", "named", "newsroom"),
    ]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ([second("x", "event denied named")], "'x' first"),
        ([second("a", "event denied named")] * 2, "stands twice"),
        ([second("", "event denied named")], "no id"),
        ([second("a", "event yakin named")], "'yakin'"),
        ([{"id": "a"}], "no labels"),
        ([], "no labels"),
    ],
)
def test_agreement_refuses_what_cannot_be_joined(other, message):
    with pytest.raises(DataError, match=message):
        agreement([denial()], other)


def test_the_check_command_prints_file_and_line_and_fails(tmp_path):
    good = run("check", write(tmp_path / "good.jsonl", CLEAN))
    assert good.exit_code == 0, good.output
    assert "5 rows, 0 errors" in good.output
    bad = run("check", write(tmp_path / "bad.jsonl", [denial(cue="[x]")]))
    assert "bad.jsonl:1: cue '[x]' is not verbatim" in bad.output
    assert isinstance(bad.exception, DataError)
    assert isinstance(run("check", tmp_path / "none").exception, DataError)


def test_the_check_command_reads_the_folder_data_by_default(tmp_path, monkeypatch):
    write(tmp_path / "data" / "dev" / "x.jsonl", CLEAN)
    monkeypatch.chdir(tmp_path)
    assert "dev" in run("check").output
    failed = run("check", "--against", write(tmp_path / "news.txt", [LONG]))
    assert "shares running words" in failed.output


def test_the_agreement_command_joins_folders(tmp_path):
    write(tmp_path / "data" / "test" / "x.jsonl", CLEAN)
    folder = tmp_path / "data" / "second_reader"
    write(folder / "x.jsonl", [second("a", "event alleged named")])
    outcome = run("agreement", tmp_path / "data", "--second", folder)
    assert outcome.exit_code == 0, outcome.output
    assert "a certainty: denied / alleged" in outcome.output


def test_without_the_extra_the_commands_say_what_to_install(tmp_path, monkeypatch):
    for module in ("training.check", "training.near_duplicates"):
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "datasketch", None)
    with pytest.raises(StanceError, match=r"needs datasketch: install with .*stance\[train\]"):
        raise run("check", tmp_path).exception
