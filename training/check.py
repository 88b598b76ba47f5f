"""Checks on labelled sentences: every rule of the guideline that a program can test.

All problems are collected, so that one run shows everything there is to mend.
"""

from __future__ import annotations

import difflib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stance.errors import DataError
from training.near_duplicates import near_duplicates, shared_runs, words
from training.rows import data_files, read_rows

SCHEME: Mapping[str, tuple[str, ...]] = {
    "claim_type": ("rule", "prediction", "causal", "quantity", "opinion", "event", "none"),
    "certainty": ("confirmed", "stated", "alleged", "denied", "none"),
    "attribution": ("newsroom", "named", "unnamed", "none"),
}
SPANS = ("cue", "source")
KEYS = ("id", "text", *SCHEME, *SPANS, "topic", "beat", "register", "group", "misleading")
SPLITS = ("train", "dev", "test")
SECOND_READER = "second_reader"  # its rows are labels without text: `agreement` reads them

MAX_CHARACTERS = 2_000
GROUP_SIZES = range(2, 6)
RARE = 0.04  # a smaller class gets too few rows per step to be learned
QUANTILES = (0.05, 0.5, 0.95, 1.0)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and where (`file:line`)."""

    origin: str
    message: str


@dataclass(frozen=True, slots=True)
class SplitCounts:
    """Numbers of one split; `words` holds the sentence lengths at `QUANTILES`."""

    rows: int
    groups: int
    misleading: int
    words: tuple[int, ...]
    classes: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of a check. `splits` has a key "" for rows outside train, dev and test."""

    errors: tuple[Problem, ...]
    warnings: tuple[str, ...]
    splits: Mapping[str, SplitCounts]


@dataclass(frozen=True, slots=True)
class _Row:
    columns: Mapping[str, Any]
    origin: str
    split: str

    def value(self, key: str) -> str:
        """A column as text; an absent one is empty, as it is in a table."""
        value = self.columns.get(key)
        return value if isinstance(value, str) else ""


def check(paths: Sequence[str], against: Sequence[str] = ()) -> Report:
    """Check data files or folders; `against` are reference texts that no row may repeat.

    Raises:
        DataError: a path is missing, of no known format, or unreadable as a whole. Problems of
            single rows are not raised but reported.
    """
    errors: list[Problem] = []
    rows: list[_Row] = []
    for item in chain.from_iterable(map(_read, dict.fromkeys(sentence_files(paths)))):
        if isinstance(item, _Row):
            rows.append(item)
            problems = chain.from_iterable(rule(item) for rule in _ROW_RULES)
            errors += (Problem(item.origin, problem) for problem in problems)
        else:
            errors.append(item)
    if not rows and not errors:
        raise DataError(f"{', '.join(paths)}: no rows to check")
    for rule in _FILE_RULES:
        errors += rule(rows)
    for hit in shared_runs([row.value("text") for row in rows], against):
        message = f"shares running words with {hit.file}: {hit.run!r}"
        errors.append(Problem(rows[hit.index].origin, message))
    splits = {
        split: _count([row for row in rows if row.split == split])
        for split in (*SPLITS, "")
        if any(row.split == split for row in rows)
    }
    return Report(tuple(errors), tuple(_rare_classes(splits)), splits)


def sentence_files(paths: Sequence[str]) -> Iterator[Path]:
    """The data files named by `paths`, without those of a `second_reader` folder below them.

    Raises:
        DataError: a path is missing, of no known format, or a folder without data files.
    """
    for name in paths:
        for file in data_files([name]):
            if SECOND_READER not in file.relative_to(name).parts:
                yield file


def _read(file: Path) -> Iterator[_Row | Problem]:
    # The folders of the path as given decide: a home folder called "dev" is no split.
    split = next((part for part in reversed(file.parts[:-1]) if part in SPLITS), "")
    if file.suffix != ".jsonl":
        for columns, origin in read_rows(file):
            yield _Row({k: v for k, v in columns.items() if v is not None}, origin, split)
        return
    # Not `read_rows`, which ends at the first broken line.
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            origin = f"{file}:{number}"
            if not line.strip():
                continue
            try:
                columns = json.loads(line.decode("utf-8-sig"))
            except (ValueError, RecursionError) as error:  # not UTF-8 is a ValueError too
                yield Problem(origin, f"not valid JSON ({error})")
                continue
            if isinstance(columns, dict):
                yield _Row({k: v for k, v in columns.items() if v is not None}, origin, split)
            else:
                yield Problem(origin, "not a JSON object")


def _key_problems(row: _Row) -> Iterator[str]:
    for key, value in row.columns.items():
        if key not in KEYS:
            near = difflib.get_close_matches(str(key), KEYS, n=1)
            yield f"unknown key {key!r}" + (f"; did you mean {near[0]!r}?" if near else "")
        elif key == "misleading":
            if str(value).lower() not in ("true", ""):  # as JSON, CSV and Parquet spell it
                yield f"misleading is true or left out, not {value!r}"
        elif not isinstance(value, str):
            yield f"{key} is not a string but {value!r}"


def _text_problems(row: _Row) -> Iterator[str]:
    text = row.value("text")
    if not text.strip():
        yield "text is missing or empty"
    elif len(text.splitlines()) > 1:
        yield "text has a line break; a row is one sentence"
    elif text != text.strip() or re.search(r"\s\s", text):
        yield "text has leading, trailing or double spaces"
    if len(text) > MAX_CHARACTERS:
        yield f"text has {len(text):,} characters; {MAX_CHARACTERS:,} are the most"
    if any("\ud800" <= character <= "\udfff" for character in text):
        yield "text has a lone surrogate, which is no character"


def _label_problems(row: _Row) -> Iterator[str]:
    for head, labels in SCHEME.items():
        label = row.columns.get(head, "")
        if label == "":
            yield f"{head} is missing"
        elif label not in labels:
            yield f"{head} {label!r} is not in the scheme ({', '.join(labels)})"
    nones = [head for head in SCHEME if row.value(head) == "none"]
    if 0 < len(nones) < len(SCHEME):
        yield f"none stands in {' and '.join(nones)} only; it goes in all heads or in no head"
    if row.value("certainty") == "stated" and row.value("attribution") == "newsroom":
        yield "stated with newsroom: what is on somebody's word has a source"


def _span_problems(row: _Row) -> Iterator[str]:
    for name in SPANS:
        span = row.value(name)
        if span not in row.value("text"):
            yield f"{name} {span!r} is not verbatim in the text"
        if span and row.value("claim_type") == "none":
            yield f"a none row has no {name}"
    attribution, certainty = row.value("attribution"), row.value("certainty")
    if attribution == "newsroom" and row.value("source"):
        yield "a newsroom row has no source"
    if attribution == "named" and row.columns.get("source") == "":
        yield "a named row needs its source"
    if certainty in ("denied", "alleged") and row.columns.get("cue") == "":
        yield f"a row that is {certainty} needs its cue"


def _duplicates(rows: Sequence[_Row]) -> Iterator[Problem]:
    ids: dict[str, str] = {}
    texts: dict[str, str] = {}
    for row in rows:
        name, text = row.value("id"), _plain(row)
        if name and ids.setdefault(name, row.origin) != row.origin:
            yield Problem(row.origin, f"id {name!r} stands already at {ids[name]}")
        if text and texts.setdefault(text, row.origin) != row.origin:
            yield Problem(row.origin, f"the same text stands already at {texts[text]}")


def _plain(row: _Row) -> str:
    text = row.value("text")
    return " ".join(words(text)) or text


def _groups(rows: Sequence[_Row]) -> Iterator[Problem]:
    for name, members in _by("group", rows).items():
        origin = members[0].origin
        if len(members) not in GROUP_SIZES:
            yield Problem(origin, f"group {name!r} has {len(members)} rows; 2 to 5 make a contrast")
        if len(splits := _splits(members)) > 1:
            yield Problem(origin, f"group {name!r} is spread over {', '.join(splits)}")
        if len(members) > 1 and len({tuple(map(row.value, SCHEME)) for row in members}) == 1:
            yield Problem(origin, f"group {name!r}: all rows have the same labels, no contrast")


def _topics(rows: Sequence[_Row]) -> Iterator[Problem]:
    for name, members in _by("topic", rows).items():
        if len(splits := _splits(members)) > 1:
            yield Problem(members[0].origin, f"topic {name!r} is spread over {', '.join(splits)}")


def _by(key: str, rows: Sequence[_Row]) -> Mapping[str, list[_Row]]:
    found: defaultdict[str, list[_Row]] = defaultdict(list)
    for row in rows:
        if row.value(key):
            found[row.value(key)].append(row)
    return found


def _splits(rows: Sequence[_Row]) -> list[str]:
    return [split for split in SPLITS if any(row.split == split for row in rows)]


def _neighbours(rows: Sequence[_Row]) -> Iterator[Problem]:
    rows = [row for row in rows if row.split and row.value("text")]
    if len(_splits(rows)) < 2:
        return
    for i, j, similarity in near_duplicates([row.value("text") for row in rows]):
        one, other = rows[i], rows[j]
        # Equal texts are reported as such.
        if one.split != other.split and _plain(one) != _plain(other):
            message = f"near-duplicate of {one.origin} in another split ({similarity:.2f})"
            yield Problem(other.origin, message)


_ROW_RULES = (_key_problems, _text_problems, _label_problems, _span_problems)
_FILE_RULES = (_duplicates, _groups, _topics, _neighbours)


def _count(rows: Sequence[_Row]) -> SplitCounts:
    lengths = np.quantile([len(row.value("text").split()) for row in rows], QUANTILES)
    found = {head: Counter(row.value(head) for row in rows) for head in SCHEME}
    return SplitCounts(
        rows=len(rows),
        groups=len(_by("group", rows)),
        misleading=sum(str(row.columns.get("misleading")).lower() == "true" for row in rows),
        words=tuple(int(length) for length in lengths),
        classes={head: {k: found[head][k] for k in labels} for head, labels in SCHEME.items()},
    )


def _rare_classes(splits: Mapping[str, SplitCounts]) -> Iterator[str]:
    if "train" not in splits:
        return
    train = splits["train"]
    for head, classes in train.classes.items():
        for label, rows in classes.items():
            if rows < RARE * train.rows:
                share = rows / train.rows
                yield f"{head} {label}: {rows} of {train.rows:,} train rows ({share:.1%})"


def print_report(report: Report, console: Console | None = None) -> None:
    """Print counts, warnings and errors for people; every error starts with `file:line`."""
    console = console or Console()
    table = Table("split", "rows", "groups", "misleading", title="Rows", title_justify="left")
    for quantile in QUANTILES:
        table.add_column(f"words {quantile:.0%}")
    for split, counts in report.splits.items():
        numbers = (counts.rows, counts.groups, counts.misleading, *counts.words)
        table.add_row(split or "(none)", *(f"{number:,}" for number in numbers))
    console.print(table)
    for head, labels in SCHEME.items():
        table = Table(head, *(split or "(none)" for split in report.splits))
        for label in labels:
            cells = [(c.classes[head][label], c.rows) for c in report.splits.values()]
            table.add_row(label, *(f"{count:,} ({count / rows:.1%})" for count, rows in cells))
        console.print(table)
    for warning in report.warnings:
        console.print(Text.assemble(("warning ", "yellow"), warning), soft_wrap=True)
    for error in report.errors:
        line = Text.assemble((f"{error.origin}: ", "bold"), error.message)
        console.print(line, soft_wrap=True)
    rows = sum(counts.rows for counts in report.splits.values())
    console.print(f"{rows:,} rows, {len(report.errors)} errors, {len(report.warnings)} warnings")
