"""Scores of a bundle on labelled sentences, beside the baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from stance.predictor import Predictor
from training.baselines import baseline_scores
from training.config import HeadConfig
from training.corpus import read_dataset
from training.metrics import HeadScore, score

Scores = Mapping[str, Mapping[str, HeadScore]]  # row of the table -> head -> score


def evaluate_bundle(bundle: Path, data: Sequence[str], baselines: Sequence[str] = ()) -> Scores:
    """Score the bundle, and baselines fitted on the files `baselines`, on the files `data`."""
    predictor = Predictor(bundle)
    heads = predictor.bundle.heads
    schema = {h.name: HeadConfig(labels=h.labels, merge=dict(h.merge)) for h in heads}
    test = read_dataset(data, schema)
    answers = predictor.predict([example.text for example in test.examples])
    table: dict[str, Mapping[str, HeadScore]] = {}
    if baselines:
        train = read_dataset(baselines, schema)
        table.update(baseline_scores(heads, train.examples, test.examples))
    result = {}
    for head in heads:
        rows = [
            (head.reported(example.labels[head.name]), answer[head.name].label)
            for example, answer in zip(test.examples, answers, strict=True)
            if head.name in example.labels
        ]
        gold, told = zip(*rows, strict=True)
        result[head.name] = score(gold, told)
    return {**table, str(bundle): result}


def print_scores(scores: Scores) -> None:
    """Macro-F1 of every row, then precision, recall and F1 per class of the last one."""
    console = Console()
    heads = list(next(iter(scores.values())))
    overview = Table("macro-F1", *heads, title_justify="left")
    for name, row in scores.items():
        overview.add_row(name, *(f"{row[head].macro_f1:.3f}" for head in heads))
    console.print(overview)
    *_, last = scores.values()
    for head in heads:
        table = Table(head, "precision", "recall", "F1", "rows")
        for label, c in last[head].classes.items():
            table.add_row(
                label, f"{c.precision:.3f}", f"{c.recall:.3f}", f"{c.f1:.3f}", str(c.support)
            )
        console.print(table)
