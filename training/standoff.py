"""Labels without text: sentences of other people's articles, by document, offset and hash.

Most news text may not be passed on, our labels may. A stand-off row says where a sentence stands
in an article; who has the articles gets the labelled sentences back, and nothing else can.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stance.errors import DataError

LABELS = ("claim_type", "certainty", "attribution")
_LABEL_OF = {"cue": "certainty", "source": "attribution"}


def attach(standoff: Path, articles: Sequence[Path]) -> Iterator[dict[str, str | None]]:
    """Yield labelled rows for every stand-off row whose article is among `articles`.

    Args:
        standoff: JSONL (or `.jsonl.gz`) with `doc`, `part` (the article's field), `start`, `end`,
            `sha256` (of the sentence), the three labels, null where readers did not agree, and
            `cue` and `source` as offsets into the sentence. A null span says that there is none,
            or nothing where the certainty (of `cue`) or attribution (of `source`) is null too.
        articles: JSONL (or `.jsonl.gz`) with `id` and the fields that `part` names.

    Raises:
        DataError: an article's text is not the one that was labelled, or no article is known.
    """
    wanted: dict[str, list[dict[str, Any]]] = defaultdict(list)
    try:
        for row in read_jsonl(standoff):
            wanted[row["doc"]].append(row)
        asked = len(wanted)
        for path in articles:
            for article in read_jsonl(path):
                for row in wanted.pop(article["id"], ()):
                    yield _row(row, article)
    except KeyError as missing:
        raise DataError(f"a stand-off row or an article has no {missing}") from None
    if asked and len(wanted) == asked:
        raise DataError(f"none of the articles is one that {standoff} has labels for")


def relabel(rows: Path, corrections: Path) -> Iterator[dict[str, Any]]:
    """Yield labelled rows with the corrected keys of those whose `id` the corrections name.

    Args:
        rows: JSONL (or `.jsonl.gz`) with `id`.
        corrections: a JSON object of id -> key -> value; null for what the row no longer says.

    Raises:
        DataError: a correction's row is not among `rows`, or a file is not readable.
    """
    try:
        changes: dict[str, dict[str, Any]] = json.loads(corrections.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{corrections}: not readable as JSON ({error})") from None
    for row in read_jsonl(rows):
        yield {**row, **changes.pop(str(row.get("id")), {})}
    if changes:
        raise DataError(
            f"{rows} lacks {len(changes)} rows of {corrections}, {next(iter(changes))!r}"
        )


def _row(row: Mapping[str, Any], article: Mapping[str, Any]) -> dict[str, str | None]:
    text = str(article.get(row["part"]) or "")[row["start"] : row["end"]]
    if digest(text) != row["sha256"]:
        raise DataError(
            f"article {row['doc']}: its {row['part']} is not the text that was labelled"
        )
    spans: dict[str, str | None] = {}
    for name, label in _LABEL_OF.items():
        # Where readers did not agree on the label, nobody said that it has no words.
        absent = None if row[label] is None else ""
        spans[name] = text[slice(*row[name])] if row[name] else absent
    identifier = f"{row['doc']}:{row['part']}:{row['start']}"
    return {"id": identifier, "text": text, **{name: row[name] for name in LABELS}, **spans}


def digest(text: str) -> str:
    """The first 16 hex digits of a sentence's sha256: enough to tell whether it was changed."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSON Lines file, which may be gzipped.

    Raises:
        DataError: it is missing or not readable as JSON Lines.
    """
    try:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                if line.strip():
                    yield json.loads(line)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{path}: not readable as JSON Lines ({error})") from None
