"""Labelled sentences: reading them from any common table format, strictly."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stance.bundle import sha256
from stance.errors import DataError
from training.config import HeadConfig, SpanConfig, TableConfig, spelled
from training.rows import data_files, read_rows

PAIR = " ||| "  # between two texts that are read as one


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled sentence. A head that the row says nothing about is absent from `labels`.

    `spans` holds the start and end of each annotated span, in characters of `text`; None says that
    the reader found none, and a span that the row says nothing about is absent. `origin` is
    `file:line`, for messages; `group` joins the rows of a contrast group.
    """

    text: str
    labels: Mapping[str, str]
    origin: str
    spans: Mapping[str, tuple[int, int] | None] = field(default_factory=dict)
    group: str | None = None
    beat: str | None = None


@dataclass(frozen=True, slots=True)
class DataFile:
    """What a run records of a file it read: enough to tell whether it was the same."""

    path: str
    rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """The examples of one part, with the fingerprints of their files."""

    examples: tuple[Example, ...]
    files: tuple[DataFile, ...]


def read_dataset(
    paths: Sequence[str],
    heads: Mapping[str, HeadConfig],
    spans: Mapping[str, SpanConfig] | None = None,
    table: TableConfig | None = None,
) -> Dataset:
    """Read labelled files or folders and check every row against `heads` and `spans`.

    Raises:
        DataError: a path is missing or of no known format, or a row has no text, a label that
            is not in its head's scheme, or a span that is not in its text.
    """
    table = table or TableConfig()
    examples: list[Example] = []
    files = []
    for file in data_files(paths):
        rows = [
            _example(row, origin, heads, spans or {}, table)
            for row, origin in read_rows(file, table.columns, table.delimiter)
        ]
        used = rows[: None if table.limit is None else table.limit - len(examples)]
        examples += used
        files.append(DataFile(str(file), len(used), sha256(file)))
    if not examples:
        raise DataError(f"{', '.join(paths)}: no labelled rows")
    return Dataset(tuple(examples), tuple(files))


def _example(
    row: Mapping[str, Any],
    origin: str,
    heads: Mapping[str, HeadConfig],
    spans: Mapping[str, SpanConfig],
    table: TableConfig,
) -> Example:
    text = _text(row, table.text_column, origin)
    if table.text_pair_column is not None:
        text += PAIR + _text(row, table.text_pair_column, origin)
    labels = {}
    for name, head in heads.items():
        label = _label(row.get(head.column or name), name, head, origin)
        if label is not None:
            labels[name] = label
    if not labels:
        columns = ", ".join(head.column or name for name, head in heads.items())
        raise DataError(f"{origin}: no label in any of the columns {columns}")
    found = {
        name: _span(words, name, text, origin)
        for name, span in spans.items()
        if (words := row.get(span.column or name)) is not None and spelled(words) != "nan"
    }
    group, beat = (str(value) if (value := row.get(key)) else None for key in ("group", "beat"))
    return Example(text, labels, origin, found, group, beat)


def _text(row: Mapping[str, Any], column: str, origin: str) -> str:
    if column not in row:
        raise DataError(
            f"{origin}: no column {column!r} among {', '.join(map(repr, row))}: set "
            "data.text_column, or data.columns where the first line is no header"
        )
    text = row[column]
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{origin}: no text in column {column!r} (got {text!r})")
    return text.strip()


def _span(words: Any, name: str, text: str, origin: str) -> tuple[int, int] | None:
    """Where the words stand: as whole words if they do («kata», not «katanya»), else anywhere."""
    if not isinstance(words, str):
        raise DataError(f"{origin}: {name} is {words!r}, not words copied from the sentence")
    words = words.strip()
    if not words:
        return None
    whole = re.search(rf"(?<!\w){re.escape(words)}(?!\w)", text)
    start = whole.start() if whole else text.find(words)
    if start < 0:
        raise DataError(f"{origin}: {name} {words!r} is not in the sentence, letter for letter")
    return start, start + len(words)


def _label(value: Any, name: str, head: HeadConfig, origin: str) -> str | None:
    label = spelled(value)
    if label is None or label == "nan":  # a table's way to leave a number out
        return None
    if isinstance(label, str):
        label = label.strip()
        label = head.values.get(label, label)
    if label == "":
        return None
    if label not in head.labels:
        raise DataError(
            f"{origin}: label {value!r} is not in the scheme of {name} ({', '.join(head.labels)})"
        )
    return str(label)
