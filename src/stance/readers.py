"""Files in: text, JSON Lines, CSV, TSV and Parquet, streamed, refused with a reason."""

from __future__ import annotations

import csv
import gzip
import json
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from types import ModuleType
from typing import Any, BinaryIO, cast

from stance.errors import InputError
from stance.sources import Source, encodable, opened_source

_LOG = logging.getLogger(__name__)

# What no article reaches: the bound that keeps memory constant on a file that is no text.
_LONGEST_LINE = 64 << 20
_ROWS_AT_A_TIME = 256

Rows = Iterator[tuple[str, Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Line:
    """A piece of a document: one line of a text file, or the text of one row.

    `start` counts characters from the top of the document to the piece. A byte order mark is not
    part of the text, a line break is. `file` and `row` name the document; rows count from 0, and a
    text file has none. `kept` holds the row's columns that were asked for, `read` the bytes of
    input up to here.
    """

    text: str
    start: int
    file: str = ""
    row: int | None = None
    kept: Mapping[str, Any] = field(default_factory=dict)
    read: int = 0


def read(
    sources: Sequence[Source], text_column: str = "text", keep: Sequence[str] = ()
) -> Iterator[Line]:
    """Yield the lines of text files and the texts of rows, holding one of them in memory.

    Args:
        sources: from `find_sources`.
        text_column: the column of the text, where a file has columns.
        keep: columns that the lines carry along.

    Raises:
        InputError: a file is not readable, binary, not UTF-8, cut off or malformed, a column is
            missing, or there is no text at all.
    """
    before = 0
    found = False
    for source in sources:
        blank = True
        with opened_source(source) as (stream, position):
            for line in _READERS[source.form](stream, source.name, text_column, keep):
                blank = blank and not line.text.strip()
                yield replace(line, file=encodable(source.path), read=before + position())
        before += source.size
        found = found or not blank
        if blank and len(sources) > 1:
            _LOG.warning("stance: %s: has no text", source.name)
    if not found:
        names = ", ".join(source.name for source in sources[:3])
        raise InputError(f"{names}{', …' if len(sources) > 3 else ''}: has no text")


def read_lines(path: str) -> Iterator[Line]:
    """Yield the lines of one UTF-8 text file, blank ones too (`-` is standard input).

    Raises:
        InputError: the file is missing, not readable, a folder, empty, binary or not UTF-8.
    """
    return read([Source(path, "text")])


def parquet_library() -> ModuleType:
    """`pyarrow.parquet`, or one line that says how to get it."""
    try:
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise InputError(
            "Parquet needs pyarrow: install it with pip install 'stance[parquet]'"
        ) from None
    return cast(ModuleType, pyarrow.parquet)


def _decoded(stream: BinaryIO, name: str) -> Iterator[str]:
    """The lines of a UTF-8 stream with their line breaks."""
    position = 0
    for number, raw in enumerate(iter(lambda: stream.readline(_LONGEST_LINE + 1), b""), 1):
        if b"\0" in raw:
            raise InputError(f"{name}: a binary file, not text (NUL byte in line {number})")
        if len(raw) > _LONGEST_LINE:
            raise InputError(f"{name}: line {number} is longer than 64 MiB; break it into lines")
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            if b"\0" in stream.read(4096):
                raise InputError(f"{name}: a binary file, not text") from None
            raise InputError(
                f"{name}: not UTF-8 (byte {position + error.start}, line {number}); convert it, "
                f"for example with: iconv -f latin1 -t utf-8"
            ) from None
        position += len(raw)
        yield text.removeprefix("\ufeff") if number == 1 else text


def _read_text(stream: BinaryIO, name: str, column: str, keep: Sequence[str]) -> Iterator[Line]:
    start = 0
    for text in _decoded(stream, name):
        yield Line(text, start)
        start += len(text)


def _of_rows(
    rows: Callable[[BinaryIO, str, Sequence[str]], Rows],
) -> Callable[[BinaryIO, str, str, Sequence[str]], Iterator[Line]]:
    """A reader of lines from a reader of rows, which are pairs of place and columns."""

    def lines(stream: BinaryIO, name: str, column: str, keep: Sequence[str]) -> Iterator[Line]:
        for number, (place, row) in enumerate(rows(stream, name, (column, *keep))):
            if column not in row:
                raise _missing(place, column, row)
            text = row[column]
            if text is not None and not isinstance(text, str):
                raise InputError(f"{place}: {column!r} is {_json_type(text)}, not text")
            yield Line(
                encodable(text or ""), 0, row=number, kept={k: _kept(row.get(k)) for k in keep}
            )

    return lines


def _jsonl_rows(stream: BinaryIO, name: str, columns: Sequence[str]) -> Rows:
    for number, text in enumerate(_decoded(stream, name), 1):
        if not text.strip():
            continue
        place = f"{name}:{number}"
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as error:
            reason = getattr(error, "msg", "too deeply nested")
            raise InputError(f"{place}: not JSON ({reason}); one object per line") from None
        if not isinstance(row, dict):
            raise InputError(f"{place}: expected one object per line, found {_json_type(row)}")
        yield place, row


def _csv_rows(stream: BinaryIO, name: str, columns: Sequence[str]) -> Rows:
    text = _decoded(stream, name)
    first = next(text, "")
    # Spreadsheets write semicolons where the comma is the decimal mark, as in Indonesia.
    return _table_rows(
        first, text, ";" if first.count(";") > first.count(",") else ",", name, columns
    )


def _tsv_rows(stream: BinaryIO, name: str, columns: Sequence[str]) -> Rows:
    text = _decoded(stream, name)
    return _table_rows(next(text, ""), text, "\t", name, columns)


def _table_rows(
    first: str, rest: Iterator[str], delimiter: str, name: str, columns: Sequence[str]
) -> Rows:
    csv.field_size_limit(_LONGEST_LINE)  # the default, 128 KiB, is less than some articles have
    reader = csv.reader(chain([first], rest), delimiter=delimiter, strict=True)
    begin = 1
    try:
        header = next(reader, [])
        begin = reader.line_num + 1
        for column in columns:
            if first and column not in header:
                raise _missing(name, column, header)
        for fields in reader:
            place, begin = f"{name}:{begin}", reader.line_num + 1
            if fields and len(fields) != len(header):
                raise InputError(f"{place}: {len(fields)} fields, but the header has {len(header)}")
            if fields:
                yield place, dict(zip(header, fields, strict=True))
    except csv.Error as error:
        raise InputError(
            f"{name}:{begin}: not a row ({error}); look for a stray quote, or save it "
            "with other line ends"
        ) from None


def _parquet_rows(stream: BinaryIO, name: str, columns: Sequence[str]) -> Rows:
    parquet = parquet_library()
    import pyarrow

    if not stream.seekable() or isinstance(stream, gzip.GzipFile):
        raise InputError(f"{name}: Parquet is read from an unpacked file; save it as one")
    number = 0
    try:
        file = parquet.ParquetFile(stream, pre_buffer=False, buffer_size=1 << 20)
        for column in columns:
            if column not in file.schema_arrow.names:
                raise _missing(name, column, file.schema_arrow.names)
        for batch in file.iter_batches(_ROWS_AT_A_TIME, columns=list(dict.fromkeys(columns))):
            for row in batch.to_pylist():
                yield f"{name}, row {number}", row
                number += 1
    # Values that Python cannot hold are the last two: a byte that is no UTF-8, a year 300,000.
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{name}: not a Parquet file that can be read ({reason})") from None


def _missing(place: str, column: str, present: Sequence[str] | Mapping[str, Any]) -> InputError:
    names = ", ".join(" ".join(str(one).split()) for one in present)
    return InputError(f"{place}: no column {column!r}; it has: {names} (see --text-column, --keep)")


def _json_type(value: object) -> str:
    if value is None:
        return "null"
    names: dict[type, str] = {dict: "an object", list: "a list", str: "a string"}
    return names.get(type(value), f"a value of type {type(value).__name__}")


def _kept(value: Any) -> Any:
    """A value for output: without lone surrogates, NaN and infinity, which JSON cannot hold."""
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, dict):
        return {encodable(str(key)): _kept(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_kept(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return None if value != value else value


_READERS = {
    "text": _read_text,
    "jsonl": _of_rows(_jsonl_rows),
    "csv": _of_rows(_csv_rows),
    "tsv": _of_rows(_tsv_rows),
    "parquet": _of_rows(_parquet_rows),
}
