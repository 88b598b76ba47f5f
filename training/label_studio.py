"""Exchange of labelled sentences with Label Studio (labelstud.io/guide/task_format).

The three heads are `choices` results and the spans `labels` results over the text, under the names
that `labeling_config` declares.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from stance.errors import DataError
from training.check import KEYS, SCHEME, SPANS

_TEXT = "text"  # name of the text both in the task's data and in the labelling interface
_SPAN = "span"  # name of the span control
_COLOURS = {"cue": "#E69F00", "source": "#0072B2"}  # told apart by colour-blind readers too


def labeling_config() -> str:
    """The labelling interface, to paste under Settings, Labeling Interface, Code."""
    spans = "".join(f'\n    <Label value="{s}" background="{_COLOURS[s]}"/>' for s in SPANS)
    heads = "".join(
        f'\n  <Header value="{head}" size="5"/>'
        f'\n  <Choices name="{head}" toName="{_TEXT}" choice="single" showInLine="true"'
        ' required="true">'
        + "".join(f'\n    <Choice value="{label}"/>' for label in labels)
        + "\n  </Choices>"
        for head, labels in SCHEME.items()
    )
    # Without the style, Label Studio trims spaces on display and its offsets are off.
    return (
        "<View>\n  <Style>.htx-text { white-space: pre-wrap; }</Style>"
        f'\n  <Labels name="{_SPAN}" toName="{_TEXT}">{spans}\n  </Labels>'
        f'\n  <Text name="{_TEXT}" value="${_TEXT}"/>{heads}\n</View>\n'
    )


def export_tasks(
    rows: Iterable[Mapping[str, Any]], predictions: bool = False
) -> list[dict[str, Any]]:
    """Rows as tasks to import into Label Studio; a row without labels is a task to do.

    Existing labels become a finished annotation or, with `predictions`, a pre-annotation that
    somebody has yet to accept. Whatever else a row holds travels in the task's data.

    Raises:
        DataError: a row has no text, only some labels, a label outside the scheme, or a span that
            is not verbatim in the text.
    """
    tasks = []
    for number, row in enumerate(rows, 1):
        row = {key: value for key, value in row.items() if value is not None}
        task: dict[str, Any] = {"data": _data(row)}
        if results := list(_results(row, row.get("id") or number)):
            # Label Studio asks for ids that no two results share.
            for part, result in enumerate(results, 1):
                result["id"] = f"{number}-{part}"
            if predictions:
                task["predictions"] = [{"model_version": "stance", "result": results}]
            else:
                task["annotations"] = [{"result": results}]
        tasks.append(task)
    return tasks


def _data(row: Mapping[str, Any]) -> dict[str, Any]:
    # An emptied span tells the import that the row has this column, and the annotator nothing.
    return {key: "" if key in SPANS else value for key, value in row.items() if key not in SCHEME}


def _results(row: Mapping[str, Any], name: Any) -> Iterator[dict[str, Any]]:
    text = row.get("text")
    if not isinstance(text, str) or not text:
        raise DataError(f"row {name!r}: has no text; give it one or drop it")
    if not any(row.get(key) for key in (*SCHEME, *SPANS)):
        return
    for head, labels in SCHEME.items():
        if row.get(head) not in labels:
            raise DataError(
                f"row {name!r}: {head} {row.get(head)!r} is not in the scheme "
                f"({', '.join(labels)}); label all heads or none"
            )
        yield _result(head, "choices", {"choices": [row[head]]})
    for span in SPANS:
        if quote := row.get(span):
            start = _find(quote, text)
            if start < 0:
                raise DataError(f"row {name!r}: {span} {quote!r} is not verbatim in the text")
            value = {"start": start, "end": start + len(quote), "text": quote, "labels": [span]}
            yield _result(_SPAN, "labels", value)


def _result(name: str, kind: str, value: Mapping[str, Any]) -> dict[str, Any]:
    return {"from_name": name, "to_name": _TEXT, "type": kind, "value": value}


def _find(quote: str, text: str) -> int:
    """Where a quote begins, as whole words if it can: "kata" is not meant in "mengatakan"."""
    whole = re.search(rf"(?<!\w){re.escape(quote)}(?!\w)", text)
    return whole.start() if whole else text.find(quote)


def import_tasks(tasks: Any) -> list[dict[str, Any]]:
    """Rows from Label Studio's JSON export (not JSON-MIN), one per annotated task.

    The last annotation that was not cancelled counts; tasks without one are left out.

    Raises:
        DataError: this is not such an export, a task has no text, or an annotation lacks a head,
            has a label outside the scheme, two spans of one kind, or offsets that do not fit the
            text.
    """
    if not isinstance(tasks, list):
        raise DataError("not a list of tasks: export from Label Studio as JSON")
    rows = []
    for number, task in enumerate(tasks, 1):
        if not isinstance(task, dict) or not isinstance(task.get("data"), dict):
            raise DataError(f"task {number}: has no data; export from Label Studio as JSON")
        name = _name(task, number)
        try:
            if finished := _finished(task.get("annotations") or ()):
                rows.append(_row(task["data"], finished[-1]["result"], name))
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"task {name}: lacks or misstates a field ({error!r}); export as JSON"
            ) from None
    return rows


def disputed(tasks: Sequence[Mapping[str, Any]]) -> list[str]:
    """The tasks of an importable export whose finished annotations differ, by id or number."""
    names = []
    for number, task in enumerate(tasks, 1):
        answers = {
            _answers(one.get("result") or ()) for one in _finished(task.get("annotations") or ())
        }
        if len(answers) > 1:
            names.append(_name(task, number))
    return names


def _name(task: Mapping[str, Any], number: int) -> str:
    return str(task.get("id") or task["data"].get("id") or number)


def _answers(results: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    parts = ("choices", "labels", "start", "end")
    return frozenset(
        str([result.get("from_name"), *(result.get("value", {}).get(part) for part in parts)])
        for result in results
    )


def _finished(annotations: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    # By time where it is given, since some exports list the newest first; sorting is stable.
    finished = [a for a in annotations if not a.get("was_cancelled")]
    return sorted(finished, key=lambda a: str(a.get("updated_at") or a.get("created_at") or ""))


def _row(
    data: Mapping[str, Any], results: Iterable[Mapping[str, Any]], name: Any
) -> dict[str, Any]:
    if not isinstance(data.get("text"), str):
        raise DataError(f"task {name}: its data has no text; label sentences under the key `text`")
    found: dict[str, str] = {}
    for result in results:
        value = result["value"]
        if result["from_name"] == _SPAN:
            (key,), answer = value["labels"], _quote(data["text"], value, name)
        else:
            key, (answer,) = result["from_name"], value["choices"]
        if key in found:
            raise DataError(f"task {name}: has two answers for {key}; keep one")
        found[key] = answer
    for head, labels in SCHEME.items():
        if found.get(head) not in labels:
            raise DataError(
                f"task {name}: {head} is {found.get(head)!r}; choose one of {', '.join(labels)}"
            )
    row = {**data, **found}
    order = {key: place for place, key in enumerate(KEYS)}
    return {key: row[key] for key in sorted(row, key=lambda key: order.get(key, len(order)))}


def _quote(text: str, value: Mapping[str, Any], name: Any) -> str:
    start, end = int(value["start"]), int(value["end"])
    quote = text[start:end]
    expected = value.get("text", quote)
    if quote != expected:
        # Old versions count UTF-16 units, in which an emoji is two (their issue 1347).
        units = text.encode("utf-16-le")[2 * start : 2 * end]
        quote = units.decode("utf-16-le", "replace")
    if not quote or quote != expected:
        raise DataError(
            f"task {name}: the span {start} to {end} is not {expected!r} in the text; mark it again"
        )
    return quote
