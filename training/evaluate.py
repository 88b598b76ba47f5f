"""Scores of a bundle on labelled sentences, beside the baselines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from stance.bundle import Head
from stance.predictor import Predictor
from training.baselines import BASELINES
from training.config import HeadConfig
from training.corpus import Example, read_dataset
from training.metrics import HeadScore, score

Predictions = Mapping[str, Sequence[str]]  # head -> a reported label per example


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One row of the comparison.

    `consistency` is the share of the contrast groups in which every head of every row is right;
    None where the data has no groups.
    """

    name: str
    heads: Mapping[str, HeadScore]
    consistency: float | None


def evaluate_bundle(
    bundle: Path, data: Sequence[str], baselines: Sequence[str] = ()
) -> list[Evaluation]:
    """Score a bundle on the files `data`, after the baselines fitted on the files `baselines`.

    Raises:
        BundleError: the bundle cannot be loaded.
        DataError: a row of the data is not in the bundle's scheme.
    """
    predictor = Predictor(bundle)
    heads = predictor.bundle.heads
    schema = {head.name: HeadConfig(labels=head.labels, merge=dict(head.merge)) for head in heads}
    test = read_dataset(data, schema).examples
    texts = [example.text for example in test]
    rows = []
    if baselines:
        train = read_dataset(baselines, schema).examples
        for name, predict in BASELINES.items():
            told = {head.name: predict(head, train, texts) for head in heads}
            rows.append(evaluate(name, heads, test, told))
    answers = predictor.predict(texts)
    told = {head.name: [answer[head.name].label for answer in answers] for head in heads}
    return [*rows, evaluate(str(bundle), heads, test, told)]


def evaluate(
    name: str, heads: Sequence[Head], examples: Sequence[Example], told: Predictions
) -> Evaluation:
    """Score predictions per head and per contrast group."""
    scores = {}
    wrong: set[int] = set()
    for head in heads:
        gold, predicted = [], []
        for row, example in enumerate(examples):
            if head.name in example.labels:
                gold.append(head.reported(example.labels[head.name]))
                predicted.append(told[head.name][row])
                if gold[-1] != predicted[-1]:
                    wrong.add(row)
        if gold:
            scores[head.name] = score(gold, predicted)
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for row, example in enumerate(examples):
        if example.group:
            groups[example.group].append(row)
    whole = [wrong.isdisjoint(rows) for rows in groups.values()]
    return Evaluation(name, scores, sum(whole) / len(whole) if whole else None)


def print_evaluations(rows: Sequence[Evaluation]) -> None:
    """Macro-F1 of every row, then precision, recall and F1 per class of the last one."""
    console = Console()
    last = rows[-1]
    overview = Table("macro-F1", *last.heads)
    if last.consistency is not None:
        overview.add_column("contrast groups all right")
    for row in rows:
        cells = [f"{row.heads[head].macro_f1:.3f}" for head in last.heads]
        if row.consistency is not None:
            cells.append(f"{row.consistency:.3f}")
        overview.add_row(row.name, *cells)
    console.print(overview)
    for head, result in last.heads.items():
        table = Table(head, "precision", "recall", "F1", "rows")
        for label, c in result.classes.items():
            numbers = (f"{value:.3f}" for value in (c.precision, c.recall, c.f1))
            table.add_row(label, *numbers, str(c.support))
        console.print(table)
