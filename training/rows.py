"""Rows of any common table format, strictly: nothing is coerced, every error names its line."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from stance.errors import DataError

SUFFIXES = (".jsonl", ".csv", ".tsv", ".parquet")  # read from folders
_ALL_SUFFIXES = (*SUFFIXES, ".json")  # a folder's JSON files are often something else

Row = tuple[dict[str, Any], str]


def data_files(paths: Sequence[str]) -> Iterator[Path]:
    """The files named by `paths`; a folder stands for the data files below it, sorted.

    Raises:
        DataError: a path is missing, of no known format, or a folder without data files.
    """
    for name in paths:
        path = Path(name)
        if path.is_dir():
            found = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES)
            if not found:
                raise DataError(f"{path}: holds no data file ({', '.join(SUFFIXES)})")
            yield from found
        elif not path.is_file():
            raise DataError(f"{path}: no such data file")
        elif path.suffix not in _ALL_SUFFIXES:
            raise DataError(f"{path}: unknown format; use one of {', '.join(_ALL_SUFFIXES)}")
        else:
            yield path


def read_rows(
    file: Path, columns: Sequence[str] | None = None, delimiter: str | None = None
) -> Iterator[Row]:
    """Yield each row as (columns, `file:line`). Values stay as written: nothing is coerced.

    Args:
        file: JSONL, JSON (a list of objects), CSV, TSV or Parquet.
        columns: names of the columns of a CSV or TSV file whose first line is no header.
        delimiter: of a CSV file; found in its first line if omitted.

    Raises:
        DataError: the file is not UTF-8 or not readable as what its name says.
    """
    try:
        if file.suffix == ".parquet":
            yield from _parquet(file)
        elif file.suffix == ".jsonl":
            yield from _json_lines(file)
        elif file.suffix == ".json":
            yield from _json_list(file)
        elif file.suffix == ".tsv":
            yield from _named(_tsv(file), file, columns)
        else:
            yield from _named(_csv(file, columns, delimiter), file, columns)
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: not UTF-8 (byte {error.start})") from None


def _parquet(file: Path) -> Iterator[Row]:
    from pyarrow import ArrowException, parquet

    try:
        rows = parquet.read_table(file).to_pylist()
    except (ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{file}: not a readable Parquet file ({reason})") from None
    for number, row in enumerate(rows, 1):
        yield row, f"{file}: row {number}"


def _json_lines(file: Path) -> Iterator[Row]:
    with file.open(encoding="utf-8-sig", newline="") as stream:
        for number, line in enumerate(stream, 1):
            if line.strip():
                origin = f"{file}:{number}"
                yield _object(_json(line, origin), origin), origin


def _json_list(file: Path) -> Iterator[Row]:
    rows = _json(file.read_text(encoding="utf-8-sig"), str(file))
    if not isinstance(rows, list):
        raise DataError(f"{file}: not a list of JSON objects; one object per line is .jsonl")
    for number, row in enumerate(rows, 1):
        origin = f"{file}: row {number}"
        yield _object(row, origin), origin


def _json(text: str, origin: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{origin}: not valid JSON ({error.msg})") from None


def _object(row: Any, origin: str) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise DataError(f"{origin}: a row is a JSON object")
    return row


def _delimiter(line: str, columns: Sequence[str] | None) -> str:
    """What cuts a file's first line into `columns`, or into the most cells."""
    cells = {mark: len(next(csv.reader([line], delimiter=mark), [])) for mark in ",;\t|"}
    if columns:
        fitting = (mark for mark, count in cells.items() if count == len(columns))
        return next(fitting, ",")
    return max(cells, key=cells.__getitem__)  # the first of equals: a comma


def _csv(
    file: Path, columns: Sequence[str] | None, delimiter: str | None
) -> Iterator[tuple[int, list[str]]]:
    with file.open(encoding="utf-8-sig", newline="") as stream:
        if delimiter is None:
            delimiter = _delimiter(stream.readline(), columns)
            stream.seek(0)
        reader = csv.reader(stream, delimiter=delimiter, strict=True)
        try:
            for cells in reader:
                yield reader.line_num, cells
        except csv.Error as error:
            line = reader.line_num
            raise DataError(f"{file}:{line}: not a readable table ({error})") from None


def _tsv(file: Path) -> Iterator[tuple[int, list[str]]]:
    """Lines cut at tabs. The format has no quotes, but some programs write a CSV's.

    So a cell is unquoted only where it cannot be read otherwise: its inner quotes are all doubled,
    or every cell of its line is quoted. A text that merely begins with a quotation stays as it is.
    """
    with file.open(encoding="utf-8-sig") as stream:
        for number, line in enumerate(stream, 1):
            cells = line.rstrip("\n").split("\t")
            inner = [cell[1:-1] for cell in cells]
            quoted = [
                len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in text.replace('""', "")
                for cell, text in zip(cells, inner, strict=True)
            ]
            yield (
                number,
                [
                    text.replace('""', '"') if is_quoted and (all(quoted) or '""' in text) else cell
                    for cell, text, is_quoted in zip(cells, inner, quoted, strict=True)
                ],
            )


def _named(
    lines: Iterator[tuple[int, list[str]]], file: Path, columns: Sequence[str] | None
) -> Iterator[Row]:
    for number, cells in lines:
        if not any(cells):
            continue
        if columns is None:
            columns = [name.strip() for name in cells]
            continue
        if len(cells) > len(columns):
            raise DataError(
                f"{file}:{number}: {len(cells)} columns, but {len(columns)} names: "
                f"{', '.join(columns)}"
            )
        yield dict(zip(columns, cells, strict=False)), f"{file}:{number}"
