"""How the corpus's sentences compare with real ones: their lengths and their words.

python -m training.profile data/train --against articles.jsonl.gz
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from stance.sentences import split_sentences
from training.near_duplicates import words
from training.rows import data_files, read_rows

QUANTILES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
COMMON = 5_000  # the most frequent words of the articles


def article_sentences(path: Path) -> Iterator[str]:
    """Titles and sentences of a JSONL file (may be gzipped) of articles: `title`, `text`."""
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            article = json.loads(line)
            for part in (article.get("title"), article.get("text")):
                yield from (sentence.text for sentence in split_sentences(part or ""))


def describe(sentences: Iterable[str]) -> tuple[list[int], Counter[str]]:
    """Length quantiles in space-separated words, and the counts of the lower-cased words."""
    lengths, counts = [], Counter[str]()
    for sentence in sentences:
        lengths.append(len(sentence.split()))
        counts.update(words(sentence))
    return [int(value) for value in np.quantile(lengths, QUANTILES)], counts


def main() -> None:
    """Parse the command line and print the comparison."""
    parser = argparse.ArgumentParser(description="compare a corpus with real articles")
    parser.add_argument("data", nargs="+")
    parser.add_argument("--against", type=Path, required=True, help="JSONL of articles")
    arguments = parser.parse_args()
    rows = (row for file in data_files(arguments.data) for row, _ in read_rows(file))
    own_lengths, own = describe(str(row["text"]) for row in rows)
    real_lengths, real = describe(article_sentences(arguments.against))
    table = Table("words per sentence", *(f"{q:.0%}" for q in QUANTILES))
    table.add_row("corpus", *map(str, own_lengths))
    table.add_row("articles", *map(str, real_lengths))
    console = Console()
    console.print(table)
    common = {word for word, _ in real.most_common(COMMON)}
    known = sum(count for word, count in own.items() if word in real) / own.total()
    console.print(f"{known:.1%} of the corpus's running words occur in the articles")
    console.print(
        f"{len(common & own.keys()) / COMMON:.1%} of their {COMMON:,} commonest occur in it"
    )


if __name__ == "__main__":
    main()
