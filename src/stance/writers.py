"""Predictions out: a table or a page for people, records for programs, whole files or none."""

from __future__ import annotations

import csv
import json
import secrets
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from stance.html import PAGE_END, page_start, section
from stance.readers import Line, parquet_library
from stance.results import SentencePrediction

if TYPE_CHECKING:  # it brings onnxruntime in, which `stance --help` should not pay for
    from stance.explain import Explanation

    Explain = Callable[[SentencePrediction], Explanation]

# Lines in order, each with its sentences, which are to be taken before the next line.
Labelled = Iterable[tuple[Line, Iterable[SentencePrediction]]]

# Colours that colour-blind readers can tell apart; the label itself is always printed too.
CERTAINTY_STYLES = {
    "confirmed": "blue",
    "alleged": "yellow",
    "denied": "magenta",
    "uncertain": "italic",
    "none": "dim",
}
SPAN_STYLES = {"cue": "underline", "source": "bold"}
# A table is laid out when it is whole: of a long input, people get one after the other.
_TABLE_ROWS = 500
# A longer sentence is a file without sentences: laying it out would take minutes.
_SHOWN_CHARACTERS = 2_000
_ROW_GROUP = 10_000
# A terminal would obey them; one for one, so that offsets hold.
_CONTROLS = dict.fromkeys([*range(32), *range(127, 160)], "\ufffd") | {ord("\t"): " "}


@contextmanager
def opened(path: Path | None) -> Iterator[TextIO]:
    """Standard output, or a file that appears under its name only when the block succeeds.

    A file that is replaced leaves its permissions; a device or a pipe is written to as it is.
    """
    if path is None:
        yield sys.stdout
        return
    path = path.resolve()  # a link stays one
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not path.is_file():
        with path.open("w", encoding="utf-8", newline="\n") as stream:
            yield stream
        return
    fresh = path.with_name(f".{path.name[:200]}-{secrets.token_hex(4)}")
    try:
        with fresh.open("x", encoding="utf-8", newline="\n") as stream:
            if path.exists():
                fresh.chmod(path.stat().st_mode)
            yield stream
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def write_jsonl(labelled: Labelled, stream: TextIO, explain: Explain | None = None) -> None:
    """One JSON object per sentence, with its file and, where the input has rows, its row.

    With `explain`, each also says what its certainty would be without the cue.
    """
    for line, sentences in labelled:
        place = {"file": line.file} if line.row is None else {"file": line.file, "row": line.row}
        place |= {f"row_{name}": value for name, value in line.kept.items()}
        for sentence in sentences:
            record = place | sentence.to_dict()
            if explain:
                record["without_cue"] = explain(sentence).to_dict()
            stream.write(json.dumps(record, ensure_ascii=False, default=str) + "\n")


def flat_columns(
    heads: Iterable[str], spans: Iterable[str], keep: Iterable[str]
) -> dict[str, type]:
    """Name and type of each column of the flat formats.

    Args:
        heads: names of the bundle's heads.
        spans: names of the bundle's spans.
        keep: names of the columns that the lines carry along.
    """
    return {
        "file": str,
        "row": int,
        **{f"row_{name}": str for name in keep},
        "start": int,
        "end": int,
        "text": str,
        **dict.fromkeys(heads, str),
        **{f"{head}_confidence": float for head in heads},
        **dict.fromkeys(spans, str),
        "truncated": bool,
    }


def write_csv(
    labelled: Labelled, stream: TextIO, columns: Mapping[str, type], header: bool = True
) -> None:
    """One row per sentence, RFC 4180 but for its line breaks, which are bare line feeds."""
    writer = csv.DictWriter(_LineFeeds(stream), columns)
    if header:
        writer.writeheader()
    writer.writerows(_flat_records(labelled))


class _LineFeeds:
    r"""Ends records in line feeds that `csv` ended in «\r\n».

    Told to write line feeds, it does not quote a carriage return before Python 3.13, and no reader
    would take the record for one.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, record: str) -> int:
        return self._stream.write(record.removesuffix("\r\n") + "\n")


def write_parquet(labelled: Labelled, stream: TextIO, columns: Mapping[str, type]) -> None:
    """One row per sentence, typed, in row groups that bound the memory."""
    parquet = parquet_library()
    import pyarrow

    types = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64()}
    types[bool] = pyarrow.bool_()
    schema = pyarrow.schema([(name, types[kind]) for name, kind in columns.items()])
    records = _flat_records(labelled)
    with parquet.ParquetWriter(stream.buffer, schema, compression="zstd") as writer:
        while group := list(islice(records, _ROW_GROUP)):
            writer.write_table(pyarrow.Table.from_pylist(group, schema))


def write_html(labelled: Labelled, stream: TextIO, title: str) -> None:
    """One page with a section per document; it holds one document in memory."""
    stream.write(page_start(title))
    for first, text, sentences in _documents(labelled):
        name = Path(first.file).name
        name = name if first.row is None else f"{name}, row {first.row}"
        heading = " · ".join([name, *(f"{key}: {value}" for key, value in first.kept.items())])
        stream.write(section("" if heading == title else heading, text, sentences))
    stream.write(PAGE_END)


def _documents(labelled: Labelled) -> Iterator[tuple[Line, str, list[SentencePrediction]]]:
    """The first line, the whole text and the sentences of each document."""
    first = None
    pieces: list[str] = []
    found: list[SentencePrediction] = []
    for line, sentences in labelled:
        if first is not None and line.start == 0:
            yield first, "".join(pieces), found
            first, pieces, found = None, [], []
        first = first or line
        pieces.append(line.text)
        found.extend(sentences)
    if first is not None:
        yield first, "".join(pieces), found


def write_table(labelled: Labelled, stream: TextIO, explain: Explain | None = None) -> None:
    """Tables with a row per sentence and a column per head, as wide as the terminal.

    In the sentence, the words that decide the certainty are underlined, and those that name whose
    word it is are bold. With `explain`, further columns give both, the certainty's probability and
    what it would be without the cue.
    """
    for file, lines in groupby(labelled, lambda pair: pair[0].file):
        pairs = ((line, sentence) for line, sentences in lines for sentence in sentences)
        while rows := list(islice(pairs, _TABLE_ROWS)):
            _print_table(file, rows, stream, explain)


def _print_table(
    file: str,
    rows: Sequence[tuple[Line, SentencePrediction]],
    stream: TextIO,
    explain: Explain | None,
) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    first, sentence = rows[0]
    table = Table(
        title=Text(file.translate(_CONTROLS)), title_justify="left", pad_edge=False, padding=(0, 1)
    )
    if first.row is not None:
        table.add_column("row", justify="right", no_wrap=True)
    table.add_column("sentence", ratio=1)
    for head in sentence.labels:
        table.add_column(head.replace("_", " "), no_wrap=True)
    table.add_column("conf.", justify="right", no_wrap=True)
    for name in ("cue", "source", "certainty, without cue") if explain else ():
        table.add_column(name)
    for line, sentence in rows:
        labels = [Text(name, CERTAINTY_STYLES.get(name, "")) for name in sentence.labels.values()]
        text = Text(sentence.text[:_SHOWN_CHARACTERS].translate(_CONTROLS))
        for name, span in sentence.spans.items():
            style = SPAN_STYLES.get(name, "italic")
            text.stylize(style, span.start - sentence.start, span.end - sentence.start)
        if sentence.truncated or len(sentence.text) > _SHOWN_CHARACTERS:
            text.append(" […]")
        place = [] if first.row is None else [str(line.row)]
        why = _reasons(explain(sentence)) if explain else ()
        table.add_row(*place, text, *labels, f"{sentence.confidence:.2f}", *why)
    Console(file=stream).print(table)


def _reasons(explanation: Explanation) -> tuple[str, str, str]:
    """Cue, source, and the certainty's probability with the cue and without it."""
    words = [span.text if span else "" for span in (explanation.cue, explanation.source)]
    if explanation.without_cue is None:
        return words[0], words[1], f"{explanation.certainty.confidence:.2f}"
    without = f"{explanation.probability_without_cue:.2f} ({explanation.without_cue.model_label})"
    return words[0], words[1], f"{explanation.certainty.confidence:.2f}, {without}"


def _flat_records(labelled: Labelled) -> Iterator[dict[str, Any]]:
    """A record per sentence, of the columns that `flat_columns` names."""
    for line, sentences in labelled:
        kept = {f"row_{name}": _as_text(value) for name, value in line.kept.items()}
        for sentence in sentences:
            yield {
                "file": line.file,
                "row": line.row,
                **kept,
                "start": sentence.start,
                "end": sentence.end,
                "text": sentence.text,
                **sentence.labels,
                **{f"{n}_confidence": round(h.confidence, 4) for n, h in sentence.heads.items()},
                **{name: span.text for name, span in sentence.spans.items()},
                "truncated": sentence.truncated,
            }


def _as_text(value: Any) -> str | None:
    """A kept value in a column of text: JSON where it is neither text nor null."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)
