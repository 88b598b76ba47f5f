"""Labelled sentences: reading them from any common table format, strictly."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stance.errors import DataError
from training.config import HeadConfig, SpanConfig

SUFFIXES = (".jsonl", ".csv", ".tsv", ".parquet")


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
    text_column: str = "text",
    limit: int | None = None,
    spans: Mapping[str, SpanConfig] | None = None,
) -> Dataset:
    """Read labelled files or folders and check every row against `heads` and `spans`.

    Raises:
        DataError: a path is missing or of no known format, or a row has no text, a label that
            is not in its head's scheme, or a span that is not in its text.
    """
    examples: list[Example] = []
    files = []
    for file in data_files(paths):
        rows = [
            _example(row, origin, heads, spans or {}, text_column)
            for row, origin in read_rows(file)
        ]
        examples += rows
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        files.append(DataFile(str(file), len(rows), digest))
    if not examples:
        raise DataError(f"{', '.join(paths)}: no labelled rows")
    return Dataset(tuple(examples[:limit]), tuple(files))


def data_files(paths: Sequence[str]) -> Iterator[Path]:
    """The files named by `paths`; a folder stands for the data files below it, sorted."""
    for name in paths:
        path = Path(name)
        if path.is_dir():
            found = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES)
            if not found:
                raise DataError(f"{path}: holds no data file ({', '.join(SUFFIXES)})")
            yield from found
        elif not path.is_file():
            raise DataError(f"{path}: no such data file")
        elif path.suffix not in SUFFIXES:
            raise DataError(f"{path}: unknown format; use one of {', '.join(SUFFIXES)}")
        else:
            yield path


def read_rows(file: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield each row as (columns, `file:line`). Values stay as written: nothing is coerced."""
    if file.suffix == ".parquet":
        from pyarrow import parquet

        for number, row in enumerate(parquet.read_table(file).to_pylist(), 1):
            yield row, f"{file}: row {number}"
        return
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            if file.suffix == ".jsonl":
                for number, line in enumerate(stream, 1):
                    if line.strip():
                        yield _json_object(line, f"{file}:{number}"), f"{file}:{number}"
            else:
                reader = csv.DictReader(stream, delimiter="\t" if file.suffix == ".tsv" else ",")
                for row in reader:
                    yield row, f"{file}:{reader.line_num}"
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: not UTF-8 (byte {error.start})") from None
    except csv.Error as error:
        raise DataError(f"{file}: not a readable table ({error})") from None


def _json_object(line: str, origin: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{origin}: not valid JSON ({error.msg})") from None
    if not isinstance(row, dict):
        raise DataError(f"{origin}: a row is a JSON object")
    return row


def _example(
    row: Mapping[str, Any],
    origin: str,
    heads: Mapping[str, HeadConfig],
    spans: Mapping[str, SpanConfig],
    text_column: str,
) -> Example:
    text = row.get(text_column)
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{origin}: no text in column {text_column!r}")
    text = text.strip()
    labels = {}
    for name, head in heads.items():
        label = _label(row.get(head.column or name), name, head, origin)
        if label is not None:
            labels[name] = label
    if not labels:
        columns = ", ".join(head.column or name for name, head in heads.items())
        raise DataError(f"{origin}: no label in any of the columns {columns}")
    found = {
        name: _span(row[span.column or name], name, text, origin)
        for name, span in spans.items()
        if isinstance(row.get(span.column or name), str)
    }
    return Example(text, labels, origin, found, row.get("group"), row.get("beat"))


def _span(words: str, name: str, text: str, origin: str) -> tuple[int, int] | None:
    if not words.strip():
        return None
    start = text.find(words.strip())
    if start < 0:
        raise DataError(f"{origin}: {name} {words!r} is not in the sentence, letter for letter")
    return start, start + len(words.strip())


def _label(value: Any, name: str, head: HeadConfig, origin: str) -> str | None:
    if value is None or value == "":
        return None
    if str(value) not in head.labels:
        raise DataError(
            f"{origin}: label {value!r} is not in the scheme of {name} ({', '.join(head.labels)})"
        )
    return str(value)
