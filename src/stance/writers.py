"""Predictions out: a table for people, JSON Lines for programs, whole files or none."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from stance.results import SentencePrediction

# Colours that colour-blind readers can tell apart; the label itself is always printed too.
CERTAINTY_STYLES = {"confirmed": "blue", "alleged": "yellow", "denied": "magenta", "none": "dim"}


@contextmanager
def opened(path: Path | None) -> Iterator[TextIO]:
    """Standard output, or a file that appears under its name only when the block succeeds."""
    if path is None:
        yield sys.stdout
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            yield stream
        Path(name).chmod(0o644)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def write_jsonl(file: str, sentences: Iterable[SentencePrediction], stream: TextIO) -> None:
    """One JSON object per sentence; `file` is repeated in each, so that streams can be joined."""
    for sentence in sentences:
        record = {"file": file, **sentence.to_dict()}
        # A lone surrogate has no UTF-8 form; JSON's own escape is the only way to write it.
        line = json.dumps(record, ensure_ascii=False)
        try:
            stream.write(line + "\n")
        except UnicodeEncodeError:
            stream.write(json.dumps(record) + "\n")


def write_table(file: str, sentences: Iterable[SentencePrediction], stream: TextIO) -> None:
    """A table with one row per sentence and one column per head, as wide as the terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = list(sentences)
    table = Table(title=file, title_justify="left", pad_edge=False, padding=(0, 1))
    table.add_column("sentence", ratio=1)
    for head in rows[0].labels if rows else ():
        table.add_column(head.replace("_", " "), no_wrap=True)
    table.add_column("conf.", justify="right", no_wrap=True)
    for row in rows:
        labels = [
            Text(label, style=CERTAINTY_STYLES.get(label, "")) for label in row.labels.values()
        ]
        text = Text(row.text + (" […]" if row.truncated else ""))
        table.add_row(text, *labels, f"{row.confidence:.2f}")
    Console(file=stream).print(table)
