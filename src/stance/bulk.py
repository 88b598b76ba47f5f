"""A run over many files: label what is read, show how far it is, go on where it stopped."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain, islice, tee
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from stance.errors import InputError, Interrupted
from stance.predictor import Predictor
from stance.readers import Line
from stance.results import SentencePrediction
from stance.sentences import split_sentences
from stance.writers import Labelled, opened


def label(predictor: Predictor, lines: Iterable[Line], done: int = 0) -> Labelled:
    """Yield each line with its sentences, which are to be taken before the next line.

    The predictor sees one stream, so short lines and small files keep every worker busy.

    Args:
        predictor: what labels.
        lines: from `stance.readers.read`.
        done: leave out so many sentences at the beginning.
    """
    lines = iter(lines)
    while done and (line := next(lines, None)):
        if (count := _count(line)) > done:
            lines = chain([line], lines)
            break
        done -= count
    asked, known = tee(lines)
    sentences = predictor.analyze_lines(asked)
    for line in known:
        # All sentences of a line that is partly done are read again, as borders depend on the rest.
        yield line, islice(sentences, done, _count(line))
        done = 0


def _count(line: Line) -> int:
    return len(split_sentences(line.text))


def with_progress(labelled: Labelled, total: int) -> Labelled:
    """Show sentences done, rate and time left on standard error while `labelled` is consumed.

    Args:
        labelled: from `label`.
        total: bytes of all input; 0 where it is not known.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=total or None)
        begin, count, before = time.perf_counter(), 0, 0

        def shown(line: Line, sentence: SentencePrediction) -> SentencePrediction:
            nonlocal count
            count += 1
            rate = count / (time.perf_counter() - begin)
            part = (sentence.end - line.start) / len(line.text)
            progress.update(
                task,
                description=f"{count:,} sentences, {rate:,.0f}/s",
                completed=before + part * (line.read - before),
            )
            return sentence

        for line, sentences in labelled:
            yield line, map(partial(shown, line), sentences)
            before = line.read


@contextmanager
def resumable(path: Path, run: Mapping[str, Any], quoted: bool) -> Iterator[tuple[TextIO, int]]:
    """A file that grows as `<path>.partial` and gets its name when the block succeeds.

    The partial file says how far a run came: its last line is cut off if it is torn. What the run
    was asked stands in `<path>.partial-run`.

    Args:
        path: the file to write.
        run: what decides the output, by name; JSON-ready. `input` lists the files, each with its
            name first; those that no record comes from yet may change between two runs.
        quoted: records may hold line breaks between double quotes (CSV).

    Yields:
        The stream to append to, and the number of records that it has.

    Raises:
        InputError: the partial file belongs to another run.
        Interrupted: the user stopped the run.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is not a file: a run that is to be resumed needs one")
    begun = path.with_name(f"{path.name}.partial")
    request = path.with_name(f"{path.name}.partial-run")
    begun.touch()
    with begun.open("r+b") as raw:
        records, size, last = _complete_records(raw, quoted)
        if request.exists() or records:
            # A CSV's first record is its header.
            reached = _file_of(last, quoted) if records > quoted else None
            _check_same_run(begun, request, run, reached)
        raw.truncate(size)
    with opened(request) as stream:
        json.dump(run, stream)
    try:
        # Line by line, so that a killed run loses no sentence that it had labelled.
        with begun.open("a", buffering=1, encoding="utf-8", newline="\n") as stream:
            yield stream, records
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted; {begun} keeps what is done: give the same command again to go on"
        ) from None
    begun.replace(path)
    request.unlink()


def _check_same_run(
    begun: Path, request: Path, run: Mapping[str, Any], reached: str | None
) -> None:
    try:
        asked = json.loads(request.read_text(encoding="utf-8"))
        changed = [name for name, value in run.items() if asked[name] != value]
        if changed == ["input"] and _same_until(asked["input"], run["input"], reached):
            changed = []
    except (OSError, ValueError, LookupError, TypeError):
        changed = ["request"]
    if changed:
        raise InputError(
            f"{begun} belongs to a run that differs in its {' and '.join(changed)}: give the "
            f"command as it was, with the files as they were, or delete {begun} to begin anew"
        )


def _same_until(asked: Sequence[Any], now: Sequence[Any], reached: str | None) -> bool:
    """Whether all files up to the last one that has records are as they were."""
    if reached is None:
        return True
    (last,) = (place for place, (name, *_) in enumerate(asked) if name == reached)
    return asked[: last + 1] == now[: last + 1]


def _file_of(record: bytes, quoted: bool) -> str:
    """The file that a record of the output comes from: its first column in CSV."""
    text = record.decode("utf-8")
    if quoted:
        return next(csv.reader(io.StringIO(text, newline="")))[0]
    return str(json.loads(text)["file"])


def _complete_records(stream: BinaryIO, quoted: bool) -> tuple[int, int, bytes]:
    """How many records end in a line break, the bytes that they take, and the last of them."""
    records = size = position = quotes = 0
    last, lines = b"", b""
    for line in stream:
        position += len(line)
        lines += line
        quotes += line.count(b'"') if quoted else 0
        if line.endswith(b"\n") and quotes % 2 == 0:
            records, size, last, lines = records + 1, position, lines, b""
    return records, size, last
