from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

pytest.importorskip("datasketch", reason="the data tools need the `train` extra")

from hypothesis import given
from hypothesis import strategies as st

from stance import DataError
from stance.cli.data import data
from stance.errors import StanceError
from training.agreement import agreement
from training.check import SCHEME, check
from training.label_studio import disputed, export_tasks, import_tasks, labeling_config
from training.near_duplicates import near_duplicates, shared_runs

LONG = (
    "Bupati Kepulauan Anambas membantah anggaran perbaikan dermaga Tarempa sebesar empat miliar "
    "rupiah dipakai untuk membeli mobil dinas baru."
)


def row(text: str, labels: str, cue: str = "", source: str = "", **more: object) -> dict:
    claim, certainty, attribution = labels.split()
    heads = {"claim_type": claim, "certainty": certainty, "attribution": attribution}
    return {"text": text, **heads, "cue": cue, "source": source, **more}


def denial(**changes: object) -> dict:
    """A valid row; the tests of `check` break it in one place each."""
    clean = row(
        LONG, "event denied named", "membantah", "Bupati Kepulauan Anambas", id="a", topic="dermaga"
    )
    return {key: value for key, value in {**clean, **changes}.items() if value is not ...}


CLEAN = [
    denial(beat="politik", register="indirect"),
    row("Sidang akan digelar Senin.", "prediction confirmed newsroom", id="b", misleading=True),
    row("Baca juga: Jadwal Imsakiyah Kota Palu", "none none none", id="c"),
    row("KPU mengakui surat suara kurang.", "event confirmed named", "mengakui", "KPU", group="g"),
    row("Surat suara diduga kurang.", "event alleged unnamed", "diduga", group="g"),
]


def write(file: Path, rows: list) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = [line if isinstance(line, str) else json.dumps(line) for line in rows]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def errors(*paths: Path, against: tuple[Path, ...] = ()) -> list[str]:
    report = check([str(path) for path in paths], [str(path) for path in against])
    return [f"{Path(error.origin).name}: {error.message}" for error in report.errors]


def run(*arguments: object):
    return CliRunner().invoke(data, list(map(str, arguments)))


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


@given(
    st.lists(
        st.builds(
            lambda before, cue, after, more: row(
                f"{before} {cue} {after}", "event alleged unnamed", cue, "", **more
            ),
            st.text(st.characters(exclude_categories=["Cs"])),
            st.sampled_from(["diduga", "🚒 dikabarkan", "kata"]),
            st.text(st.characters(exclude_categories=["Cs"])),
            st.dictionaries(st.sampled_from(["id", "topic", "beat", "catatan"]), st.text()),
        )
    )
)
def test_export_and_import_give_the_same_rows(rows):
    assert import_tasks(json.loads(json.dumps(export_tasks(rows)))) == rows


def test_rows_keep_their_columns_on_the_way_through_label_studio():
    bare = denial(cue=..., source=...)
    assert import_tasks(export_tasks([*CLEAN, bare])) == [*CLEAN, bare]
    (task,) = export_tasks([row("Ia mengatakan hal itu, kata Rini.", "event stated named", "kata")])
    assert "claim_type" not in task["data"]
    (span,) = [r for r in task["annotations"][0]["result"] if r["type"] == "labels"]
    assert span["value"] == {"start": 23, "end": 27, "text": "kata", "labels": ["cue"]}


def test_pre_annotations_and_open_tasks_are_no_rows_until_somebody_finishes_them():
    tasks = export_tasks([denial()], predictions=True) + export_tasks([{"text": "Gempa lagi."}])
    assert "annotations" not in tasks[0]
    assert "predictions" not in tasks[1]
    assert import_tasks(tasks) == []


def test_the_last_annotation_that_was_not_cancelled_counts():
    (task,) = export_tasks([denial()])
    (first,) = task["annotations"]
    (revised,) = export_tasks([denial(certainty="alleged")])[0]["annotations"]
    revised["created_at"], first["created_at"] = "2025-03-02T08:00:00Z", "2025-03-01T08:00:00Z"
    task["annotations"] = [revised, first, {"was_cancelled": True, "result": []}]
    assert import_tasks([task])[0]["certainty"] == "alleged"
    agreed = {**task, "id": 8, "annotations": [first, {**first, "id": 5}]}
    assert disputed([agreed, {**task, "id": 9}]) == ["9"]


def test_annotations_that_differ_are_told(stance, tmp_path):
    (task,) = export_tasks([denial()])
    (other,) = export_tasks([denial(certainty="alleged")])[0]["annotations"]
    task["annotations"].append(other)
    (tmp_path / "export.json").write_text(json.dumps([task]))
    outcome = stance("data", "import", tmp_path / "export.json", "-o", tmp_path / "rows.jsonl")
    assert outcome.status == 0
    assert "in 1 of them annotations differ" in outcome.err


def test_a_task_without_text_is_refused():
    (task,) = export_tasks([denial()])
    task["data"] = {"teks": task["data"]["text"]}
    with pytest.raises(DataError, match="has no text"):
        import_tasks([task])


def _task(change) -> dict:
    (task,) = export_tasks([denial()])
    task["id"] = 77
    change(task["annotations"][0]["result"])
    return task


@pytest.mark.parametrize(
    "change",
    [
        lambda results: results.pop(0),
        lambda results: results.append(results[0]),
        lambda results: results.append(results[3]),
        lambda results: results[0]["value"].update(choices=["gosip"]),
        lambda results: results[0]["value"].update(choices=[]),
        lambda results: results[3]["value"].update(start=0),
        lambda results: results[3]["value"].pop("start"),
    ],
)
def test_an_unusable_annotation_names_its_task(change):
    with pytest.raises(DataError, match="task 77"):
        import_tasks([_task(change)])


def test_offsets_of_old_versions_count_an_emoji_as_two():
    (task,) = export_tasks([row("🚒 Korban diduga selamat.", "event alleged unnamed", "diduga")])
    span = task["annotations"][0]["result"][3]["value"]
    span["start"], span["end"] = span["start"] + 1, span["end"] + 1
    assert import_tasks([task])[0]["cue"] == "diduga"


@pytest.mark.parametrize(
    "broken",
    [denial(text=...), denial(certainty=...), denial(claim_type="gosip"), denial(cue="menyangkal")],
)
def test_export_refuses_broken_rows_by_id(broken):
    with pytest.raises(DataError, match="'a'"):
        export_tasks([broken])


@pytest.mark.parametrize("content", [{}, [1], [{"id": 7, "text": "JSON-MIN"}]])
def test_other_exports_are_refused(content):
    with pytest.raises(DataError, match="as JSON"):
        import_tasks(content)


def test_the_labelling_interface_declares_what_the_tasks_use():
    view = ElementTree.fromstring(labeling_config())
    declared = {tag.get("name"): [child.get("value") for child in tag] for tag in view}
    (task,) = export_tasks([denial()])
    for result in task["annotations"][0]["result"]:
        (value,) = result["value"][result["type"]]
        assert value in declared[result["from_name"]]
    for head, labels in SCHEME.items():
        assert declared[head] == list(labels)


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


def test_the_exchange_commands_write_whole_files_or_none(tmp_path):
    source = write(tmp_path / "x.jsonl", CLEAN)
    tasks, rows, xml = tmp_path / "tasks.json", tmp_path / "rows.jsonl", tmp_path / "view.xml"
    assert run("export", source, "-o", tasks, "--config-xml", xml).exit_code == 0
    assert xml.read_text() == labeling_config()
    assert run("import", tasks, "-o", rows).exit_code == 0
    assert [json.loads(line) for line in rows.read_text().splitlines()] == CLEAN

    before = rows.read_text()
    assert run("export", source, "-o", tasks, "--predictions").exit_code == 0
    for content in (tasks.read_text(), "{", json.dumps([_task(lambda results: results.clear())])):
        tasks.write_text(content)
        assert isinstance(run("import", tasks, "-o", rows).exception, StanceError)
        assert rows.read_text() == before
    assert isinstance(run("import", tmp_path / "none.json", "-o", rows).exception, DataError)


def test_without_the_extra_the_commands_say_what_to_install(tmp_path, monkeypatch):
    for module in ("training.check", "training.near_duplicates"):
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "datasketch", None)
    with pytest.raises(StanceError, match=r"needs datasketch: install with .*stance\[train\]"):
        raise run("check", tmp_path).exception
