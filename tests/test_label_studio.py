"""Exchange with Label Studio: tasks out, annotations in."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest
from labelled import CLEAN, denial, row, run, write

pytest.importorskip("datasketch", reason="the data tools need the `train` extra")

from hypothesis import given
from hypothesis import strategies as st

from stance import DataError
from stance.errors import StanceError
from training.check import SCHEME
from training.label_studio import disputed, export_tasks, import_tasks, labeling_config


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
