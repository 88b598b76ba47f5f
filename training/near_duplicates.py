"""Texts that lie too close: near-duplicates of each other, and runs of words from elsewhere."""

from __future__ import annotations

import gzip
import json
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasketch import MinHash, MinHashLSH

from stance.errors import DataError

# Jaccard similarity of the sets of character 5-grams. Among 10,000 Indonesian news sentences every
# pair above it was one sentence reworded; below it, sentences of one pattern begin to appear.
# Characters, not words: 5-grams see through affixes ("melayarkan", "berlayar").
THRESHOLD = 0.65
NGRAM = 5
# 32 bands of 4 rows miss a pair of similarity 0.65 with probability (1 - 0.65**4)**32 = 0.2 %.
BANDS, BAND_ROWS = 32, 4

RUN = 12  # running words: no two writers hit on them by chance

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class SharedRun:
    """`texts[index]` and `file` have `run` in common."""

    index: int
    file: str
    run: str


def words(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation."""
    return _WORD.findall(text.lower())


def near_duplicates(
    texts: Sequence[str], threshold: float = THRESHOLD
) -> list[tuple[int, int, float]]:
    """Pairs (i, j, similarity) with i < j whose similarity is at least `threshold`, sorted.

    Candidates come from MinHash (Broder 1997, "On the resemblance and containment of documents")
    with locality-sensitive hashing (Indyk and Motwani 1998); every one is verified exactly. The
    hash seed is fixed, so the result depends on the texts alone. Below a `threshold` of about
    0.5, candidates are missed.
    """
    hashes = MinHash.bulk(
        # Bytes are what MinHash hashes; a lone surrogate must not stop the check that reports it.
        ([ngram.encode("utf-8", "surrogatepass") for ngram in _ngrams(text)] for text in texts),
        num_perm=BANDS * BAND_ROWS,
        seed=1,
    )
    index = MinHashLSH(num_perm=BANDS * BAND_ROWS, params=(BANDS, BAND_ROWS))
    pairs = []
    for later, minhash in enumerate(hashes):
        for earlier in index.query(minhash):
            similarity = _jaccard(_ngrams(texts[earlier]), _ngrams(texts[later]))
            if similarity >= threshold:
                pairs.append((earlier, later, similarity))
        index.insert(later, minhash)
    return sorted(pairs)


def _ngrams(text: str) -> set[str]:
    plain = " ".join(words(text)) or text
    return {plain[start : start + NGRAM] for start in range(max(1, len(plain) - NGRAM + 1))}


def _jaccard(one: set[str], other: set[str]) -> float:
    return len(one & other) / len(one | other)


def shared_runs(texts: Sequence[str], files: Iterable[str | Path]) -> list[SharedRun]:
    """The texts that share `RUN` running words with a reference file, each with its first hit.

    Only the runs of `texts` are held in memory; the files (.txt, .jsonl, .jsonl.gz; in JSON every
    string value is a text of its own) are streamed.

    Raises:
        DataError: a file is missing, of no known format, or not what its name says.
    """
    owners: dict[tuple[str, ...], list[int]] = {}
    for index, text in enumerate(texts):
        for run in _runs(words(text)):
            owners.setdefault(run, []).append(index)
    hits: dict[int, SharedRun] = {}
    for name in files:
        for text_words in _reference(Path(name)):
            for run in _runs(text_words):
                for index in owners.get(run, ()):
                    hits.setdefault(index, SharedRun(index, str(name), " ".join(run)))
    return [hits[index] for index in sorted(hits)]


def _runs(text_words: Iterable[str]) -> Iterator[tuple[str, ...]]:
    window: deque[str] = deque(maxlen=RUN)
    for word in text_words:
        window.append(word)
        if len(window) == RUN:
            yield tuple(window)


def _reference(file: Path) -> Iterator[Iterable[str]]:
    """The words of each text in a file; a text file is one text, whatever its line breaks."""
    if not file.name.endswith((".txt", ".jsonl", ".jsonl.gz")):
        raise DataError(f"{file}: unknown reference format; use .txt, .jsonl or .jsonl.gz")
    try:
        with (gzip.open if file.suffix == ".gz" else open)(file, "rt", encoding="utf-8") as lines:
            if file.suffix == ".txt":
                yield (word for line in lines for word in words(line))
                return
            for number, line in enumerate(lines, 1):
                if line.strip():
                    for text in _strings(_json(line, f"{file}:{number}")):
                        yield words(text)
    except FileNotFoundError:
        raise DataError(f"{file}: no such reference file") from None
    except UnicodeDecodeError:
        raise DataError(f"{file}: not UTF-8; convert it first") from None
    except (gzip.BadGzipFile, EOFError):
        raise DataError(f"{file}: not a whole gzip file; fetch it again") from None


def _json(line: str, origin: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{origin}: not valid JSON ({error.msg})") from None


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from _strings(part)
