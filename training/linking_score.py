"""Precision and coverage of linked sources, on articles in which a reader marked the speakers.

python -m training.linking_score data/linking/articles.jsonl.gz news.jsonl.gz [--model BUNDLE]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from stance.errors import DataError
from stance.linking import LinkedSource, link_sources
from stance.predictor import Predictor
from stance.results import SentencePrediction, Span
from training.standoff import digest, read_jsonl


@dataclass(frozen=True, slots=True)
class Outcome:
    """One sentence, judged.

    `linkable`: its speaker has a fuller mention in the article than the sentence gives. `link` is
    what the rules made, `right` whether it lies on a mention of the marked speaker.
    """

    doc: str
    text: str
    linkable: bool
    link: LinkedSource | None
    right: bool
    quoted: bool


def score(
    marked: Path, articles: Path, split: str, predictor: Predictor | None = None
) -> list[Outcome]:
    """Link every article of a split, with the marked sources or with a predictor's.

    Args:
        marked: JSONL, one row per article: `doc`, `part`, `split`, `speakers` (by key: `full`, the
            fullest mention, and all `mentions`) and `sentences` with `start`, `end`, `sha256`,
            `source` (or null), `speaker` (a key or null) and perhaps `optional`: a speaker whom
            the guideline does not count as the source. All offsets count the article's characters.
        articles: JSONL or `.jsonl.gz` with `id` and the field that `part` names.
        split: `develop` or `measure`.
        predictor: where the source spans come from; the marked ones are used when omitted.

    Raises:
        DataError: an article is missing, or its text is not the one that was marked.
    """
    wanted = {row["doc"]: row for row in read_jsonl(marked) if row["split"] == split}
    outcomes: list[Outcome] = []
    for article in read_jsonl(articles):
        if (row := wanted.pop(article["id"], None)) is not None:
            outcomes += _judge(row, str(article[row["part"]]), predictor)
    if wanted:
        raise DataError(f"{articles}: lacks {len(wanted)} of the marked articles")
    return outcomes


def _judge(row: Mapping[str, Any], document: str, predictor: Predictor | None) -> Iterator[Outcome]:
    for mark in row["sentences"]:
        if digest(document[mark["start"] : mark["end"]]) != mark["sha256"]:
            raise DataError(f"article {row['doc']}: its text is not the one that was marked")
    sentences = [_sentence(document, mark, predictor) for mark in row["sentences"]]
    for mark, sentence, link in zip(
        row["sentences"], sentences, link_sources(sentences), strict=True
    ):
        speaker = row["speakers"].get(mark["speaker"])
        source = document[slice(*mark["source"])] if mark["source"] else ""
        fuller = speaker is not None and document[slice(*speaker["full"])] not in source
        right = (
            link is not None
            and speaker is not None
            and any(start < link.end and link.start < end for start, end in speaker["mentions"])
        )
        linkable = fuller and not mark.get("optional", False)
        yield Outcome(row["doc"], sentence.text, linkable, link, right, not source)


def _sentence(
    document: str, mark: Mapping[str, Any], predictor: Predictor | None
) -> SentencePrediction:
    start, end = mark["start"], mark["end"]
    text = document[start:end]
    if predictor is not None:
        answer = predictor.predict_one(text)
        spans = {
            name: replace(span, start=start + span.start, end=start + span.end)
            for name, span in answer.spans.items()
        }
    elif mark["source"] is not None:
        first, last = mark["source"]
        spans = {"source": Span(document[first:last], first, last, 1.0)}
    else:
        spans = {}
    return SentencePrediction(text, {}, spans=spans, start=start, end=end)


def print_scores(outcomes: Sequence[Outcome]) -> None:
    """Precision per rule, and coverage of the quoted and the other sentences."""
    # A link from one full name to another of the same speaker was not needed: it counts as neither.
    made = [o for o in outcomes if o.link is not None and (o.linkable or not o.right)]
    table = Table("rule", "links", "right", "precision")
    for rule in ["all", *sorted({o.link.rule for o in made if o.link})]:
        links = [o for o in made if o.link and rule in ("all", o.link.rule)]
        right = sum(o.right for o in links)
        table.add_row(rule, str(len(links)), str(right), f"{right / max(1, len(links)):.3f}")
    linkable = [o for o in outcomes if o.linkable]
    coverage = Table("sentences", "linkable", "linked right", "coverage")
    parts = {
        "all": linkable,
        "without a source": [o for o in linkable if o.quoted],
        "with one": [o for o in linkable if not o.quoted],
    }
    for name, part in parts.items():
        right = sum(o.right for o in part)
        coverage.add_row(name, str(len(part)), str(right), f"{right / max(1, len(part)):.3f}")
    console = Console()
    console.print(f"{len({o.doc for o in outcomes})} articles, {len(outcomes)} sentences")
    console.print(table, coverage)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("marked", type=Path)
    parser.add_argument("articles", type=Path)
    parser.add_argument("--split", choices=("develop", "measure"), default="measure")
    parser.add_argument("--model", type=Path, help="predict the sources with this bundle")
    parser.add_argument("--errors", action="store_true", help="print wrong and missing links")
    arguments = parser.parse_args()
    predictor = Predictor(arguments.model) if arguments.model else None
    outcomes = score(arguments.marked, arguments.articles, arguments.split, predictor)
    print_scores(outcomes)
    if arguments.errors:
        for outcome in outcomes:
            if (outcome.linkable or outcome.link) and not outcome.right:
                print(f"{outcome.doc}: {outcome.text}\n    -> {outcome.link}")


if __name__ == "__main__":
    main()
