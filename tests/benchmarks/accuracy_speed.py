"""Plot accuracy against speed on this machine: bundles, and what one could use instead.

    python tests/benchmarks/accuracy_speed.py artifacts/default runs/distil/bundle \
        --train data/train my/rows.jsonl --test my/test.jsonl --output accuracy_speed.svg

The baselines learn from `--train`, bundles from what they were trained on. Accuracy is the mean of
the heads' macro-F1 over the labels that are reported. Speed is sentences per second, text in to
labels out, the contestants in turns, each in its own process with the threads given. A model of
IndoBERT's size has random weights here: its speed is a line without an accuracy.
"""

from __future__ import annotations

import argparse
import json
import os
import random
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console

from stance import Predictor
from training.baselines import BASELINES, InapplicableError, Labeller
from training.bench import Label, Load, bench, load_bundle
from training.evaluate import bundle_answer
from training.peers import peers
from training.plots import Place, plot_accuracy_speed
from training.scheme import bundle_scheme
from training.scores import Sheet, SystemScore


def loaded(labeller: Labeller, threads: int) -> Label:
    """A fitted baseline, as `bench` wants it."""
    import torch

    torch.set_num_threads(threads)
    return labeller


def mean_f1(system: SystemScore, heads: Sequence[str]) -> float:
    return fmean(system.tasks[name].macro_f1 for name in heads)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bundles", nargs="+", type=Path)
    parser.add_argument("--train", nargs="+", default=["data/train"])
    parser.add_argument("--test", nargs="+", default=["data/test"])
    parser.add_argument("--rows", type=int, help="train the baselines on so many, drawn at random")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--output", type=Path, default=Path("runs/accuracy_speed.svg"))
    arguments = parser.parse_args()
    for library in ("OMP", "RAYON", "OPENBLAS"):  # of what the contestants' processes load
        os.environ[f"{library}_NUM_THREADS"] = str(arguments.threads)
    progress = Console(stderr=True)

    predictors = {str(folder): Predictor(folder) for folder in arguments.bundles}
    scheme = bundle_scheme(next(iter(predictors.values())).bundle)
    train = scheme.read(arguments.train).examples
    if arguments.rows:
        train = random.Random(0).sample(train, min(arguments.rows, len(train)))
    rows = scheme.read(arguments.test).examples
    texts = [row.text for row in rows]
    sheet = Sheet(rows, scheme.tasks)

    contestants: dict[str, Load] = {}
    answers: dict[str, Any] = {}
    for name, fit in BASELINES.items():
        if name == "majority class":
            continue  # an accuracy without a speed
        progress.print(f"fitting {name}")
        try:
            labeller = fit(scheme, train)
        except InapplicableError as error:
            progress.print(f"left out: {error}")
            continue
        answers[name] = labeller(texts)
        contestants[name] = partial(loaded, labeller)
    for name, predictor in predictors.items():
        answers[name] = bundle_answer(sheet.tasks, predictor.predict(texts))
        contestants[name] = partial(load_bundle, predictor.bundle.path)
    large = "pipeline, IndoBERT size"
    contestants[large] = peers(arguments.bundles[0])[large]

    heads = [task.name for task in sheet.reported]
    places = {system.name: mean_f1(system, heads) for system in sheet.score(answers)}
    progress.print("timing")
    random.Random(0).shuffle(texts)  # files differ in length, and the slow read but the first rows
    speeds = bench(contestants, texts, [arguments.threads], arguments.rounds, arguments.seconds)
    points = [
        Place(speed.name, speed.rates[arguments.threads], places.get(speed.name))
        for speed in speeds
    ]
    for point in points:
        print(json.dumps(asdict(point)))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(plot_accuracy_speed(points, arguments.threads), encoding="utf-8")


if __name__ == "__main__":
    main()
