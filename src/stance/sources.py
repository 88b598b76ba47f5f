"""Where texts come from: files, folders, patterns, standard input; packed with gzip or not."""

from __future__ import annotations

import glob
import gzip
import logging
import os
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from stance.errors import InputError

_LOG = logging.getLogger(__name__)

STDIN = "-"
# Endings of file names, before an optional `.gz`; any other file that is named is read as text.
_ENDINGS = {
    ".txt": "text",
    ".text": "text",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
}
FORMATS = tuple(dict.fromkeys(_ENDINGS.values()))


@dataclass(frozen=True, slots=True)
class Source:
    """One file to read (`-` is standard input), and its format: one of `FORMATS`."""

    path: str
    form: str

    @property
    def name(self) -> str:
        """The path for people; what has no UTF-8 form becomes `?`."""
        return "standard input" if self.path == STDIN else encodable(self.path)

    @property
    def size(self) -> int:
        """Bytes of the file; 0 for standard input."""
        return 0 if self.path == STDIN else Path(self.path).stat().st_size

    @property
    def fingerprint(self) -> list[Any]:
        """What changes when the file does: path, bytes, time of change in nanoseconds."""
        status = Path(self.path).stat()
        return [self.name, status.st_size, status.st_mtime_ns]


def find_sources(paths: Sequence[str], form: str | None = None) -> list[Source]:
    """The files behind paths, folders (searched to the bottom, sorted) and glob patterns.

    A folder gives its files whose endings name a format, all of them when `form` is given; hidden
    ones are passed over.

    Args:
        paths: `-` is standard input.
        form: the format of every file, whatever its name ends in.

    Raises:
        InputError: a file is missing, or a folder or pattern leads to none.
    """
    files = [file for path in paths for file in _files(path, form)]
    for file in files:
        if file != STDIN and not Path(file).exists():
            raise InputError(f"{encodable(file)}: no such file")
    return [Source(file, form or _form(file) or "text") for file in files]


@contextmanager
def opened_source(source: Source) -> Iterator[tuple[BinaryIO, Callable[[], int]]]:
    """The stream of a source, unpacked, and what tells the bytes of the file read so far.

    Raises:
        InputError: the file cannot be opened, or unpacking it failed inside the block.
    """
    if source.path == STDIN:
        yield sys.stdin.buffer, lambda: 0
        return
    try:
        with Path(source.path).open("rb") as raw:
            if source.path.lower().endswith(".gz"):
                with gzip.GzipFile(fileobj=raw) as unpacked:
                    yield cast(BinaryIO, unpacked), raw.tell
            else:
                yield raw, raw.tell
    except FileNotFoundError:
        raise InputError(f"{source.name}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{source.name}: is a folder; name the files in it") from None
    except PermissionError:
        raise InputError(f"{source.name}: may not be read (permission denied)") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{source.name}: broken gzip ({error}); fetch it again") from None


def encodable(text: str) -> str:
    """Each lone surrogate, which has no UTF-8 form, as `?`: one for one, so that offsets hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _files(path: str, form: str | None) -> list[str]:
    if path == STDIN:
        return [path]
    if Path(path).is_dir():
        return _inside(path, form)
    if Path(path).exists() or not glob.has_magic(path):
        return [path]
    matches = sorted(glob.glob(path, recursive=True))  # noqa: PTH207 - Path.glob takes no root
    if not matches:
        raise InputError(f"{encodable(path)}: no file matches")
    # `**` matches folders and what is in them.
    found = [file for match in matches for file in _files(match, form)]
    return list({os.path.normpath(file): file for file in reversed(found)}.values())[::-1]


def _inside(path: str, form: str | None) -> list[str]:
    inside = [
        file
        for file in sorted(Path(path).rglob("*"))
        if file.is_file() and not any(p.startswith(".") for p in file.relative_to(path).parts)
    ]
    known = [str(file) for file in inside if form or _form(str(file))]
    if not known:
        raise InputError(
            f"{encodable(path)}: a folder without files to read ({' '.join(_ENDINGS)}, also .gz)"
        )
    if len(known) < len(inside):
        _LOG.warning(
            "stance: %s: files passed over, as their endings name no format: %d",
            encodable(path),
            len(inside) - len(known),
        )
    return known


def _form(path: str) -> str | None:
    return _ENDINGS.get(Path(path.lower().removesuffix(".gz")).suffix)
