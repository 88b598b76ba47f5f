"""Text files in: UTF-8, streamed line by line, refused with a reason when they are not text."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from stance.errors import InputError

STDIN = "-"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a file, without its line break; `start` counts characters from the file's top.

    A byte order mark is not part of the text.
    """

    text: str
    start: int


def read_lines(path: str) -> Iterator[Line]:
    """Yield the lines of a UTF-8 text file (`-` is standard input) that are not blank.

    Only one line is held in memory.

    Raises:
        InputError: the file is missing, not readable, a folder, empty, binary or not UTF-8.
    """
    name = "standard input" if path == STDIN else path
    try:
        if path == STDIN:
            yield from _decode(sys.stdin.buffer, name)
        else:
            with Path(path).open("rb") as stream:
                yield from _decode(stream, name)
    except FileNotFoundError:
        raise InputError(f"{name}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{name}: is a folder; name the files in it") from None
    except PermissionError:
        raise InputError(f"{name}: may not be read (permission denied)") from None


def _decode(stream: BinaryIO, name: str) -> Iterator[Line]:
    start = position = 0
    blank = True
    for number, raw in enumerate(stream, 1):
        try:
            if b"\0" in raw:
                raise InputError(f"{name}: a binary file, not text (NUL byte in line {number})")
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            if b"\0" in stream.read(4096):
                raise InputError(f"{name}: a binary file, not text") from None
            raise InputError(
                f"{name}: not UTF-8 (byte {position + error.start}, line {number}); convert it, "
                f"for example with: iconv -f latin1 -t utf-8"
            ) from None
        position += len(raw)
        if number == 1:
            text = text.removeprefix("\ufeff")
        if text.strip():
            blank = False
            yield Line(text.rstrip("\r\n"), start)
        start += len(text)
    if blank:
        raise InputError(f"{name}: has no text")
