"""Plot accuracy against speed on this machine: the bundles given, and what one could use instead.

    python tests/benchmarks/accuracy_speed.py artifacts/default runs/distil/bundle \
        --data my/test.jsonl --output accuracy_speed.svg

Everything that learns learns from `--train`, bundles from what they were trained on. Accuracy is
the mean of the heads' macro-F1 on `--data`; speed is sentences per second, text in to labels out,
by one thread, the contestants in turns. A static model is what model2vec is: the mean of the
base's own word embeddings, here with a logistic regression. A model of IndoBERT's size has random
weights: its place is a line, since its accuracy is not known here.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy and torch count the cores

import matplotlib as mpl
import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import StandardScaler

from stance import Predictor
from training import lexicon
from training.base import load_base
from training.corpus import Example
from training.metrics import score
from training.peers import peers
from training.scheme import Scheme, bundle_scheme

Answer = Sequence[Sequence[str]]  # per text, its labels in the order of the heads
System = Callable[[Sequence[str]], Answer]


def lexicon_of(scheme: Scheme) -> System:
    return lambda texts: [
        [scheme.heads[h].head(h).reported(lexicon.read(text)[h]) for h in scheme.heads]
        for text in texts
    ]


def classifier_of(
    scheme: Scheme, train: Sequence[Example], vectors: Callable[[Sequence[str]], Any], fit: Any
) -> System:
    """A logistic regression per head on the vectors of the training rows."""
    known = vectors([row.text for row in train])
    models = []
    for name, config in scheme.heads.items():
        head = config.head(name)
        rows = [at for at, row in enumerate(train) if name in row.labels]
        models.append(fit().fit(known[rows], [head.reported(train[r].labels[name]) for r in rows]))

    def answer(texts: Sequence[str]) -> Answer:
        found = vectors(texts)
        return list(zip(*(model.predict(found) for model in models), strict=True))

    return answer


def embeddings(scheme: Scheme, contextual: bool) -> Callable[[Sequence[str]], np.ndarray]:
    """Sentence vectors of the frozen base: means of its last layer, or of its word embeddings."""
    assert scheme.base is not None
    base, _ = load_base(scheme.base)
    base.encoder.eval()

    def of(text: str) -> np.ndarray:
        tokens = base.tokenizer(text, truncation=True, max_length=192, return_tensors="pt")
        with torch.inference_mode():
            words = (
                base.encoder(**tokens).last_hidden_state
                if contextual
                else base.encoder.get_input_embeddings()(tokens["input_ids"])
            )
        return words[0].mean(0).numpy()

    return lambda texts: np.stack([of(text) for text in texts])


def contenders(
    bundles: Sequence[Path], train_files: Sequence[str], frozen_rows: int
) -> tuple[Scheme, dict[str, System]]:
    from sklearn.feature_extraction.text import TfidfVectorizer

    scheme = bundle_scheme(Predictor(bundles[0]).bundle)
    train = scheme.read(train_files).examples
    tfidf = make_union(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=3),
    ).fit([row.text for row in train])

    def logistic() -> Any:
        return LogisticRegression(C=8, class_weight="balanced", max_iter=300)

    def scaled() -> Any:
        settings = {"C": 0.1, "class_weight": "balanced", "max_iter": 500}
        return make_pipeline(StandardScaler(), LogisticRegression(**settings))

    systems: dict[str, System] = {
        "cue lexicon": lexicon_of(scheme),
        "TF-IDF + logistic": classifier_of(scheme, train, tfidf.transform, logistic),
        "static embeddings": classifier_of(scheme, train, embeddings(scheme, False), scaled),
        f"frozen base ({frozen_rows:,} rows)": classifier_of(
            scheme, train[:: max(1, len(train) // frozen_rows)], embeddings(scheme, True), scaled
        ),
    }
    for folder in bundles:
        predictor = Predictor(folder, threads=1)
        systems[str(folder)] = lambda texts, by=predictor: [
            [by_head.label for by_head in one.heads.values()] for one in map(by.predict_one, texts)
        ]
    return scheme, systems


def rate(system: Callable[[Sequence[str]], Any], texts: Sequence[str], seconds: float) -> float:
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        system([texts[done % len(texts)]])
        done += 1
    return done / (time.perf_counter() - began)


def draw(points: dict[str, tuple[float, float]], lines: dict[str, float], output: Path) -> None:
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    for name, (speed, accuracy) in points.items():
        axes.scatter(speed, accuracy, s=40)
        axes.annotate(name, (speed, accuracy), xytext=(6, 5), textcoords="offset points")
    for name, speed in lines.items():
        axes.axvline(speed, linestyle=":", color="grey")
        axes.annotate(
            name, (speed, 0.02), xycoords=("data", "axes fraction"), rotation=90, va="bottom"
        )
    axes.set(xscale="log", xlabel="sentences/s, one thread", ylabel="mean macro-F1 of the heads")
    axes.margins(0.15)
    figure.savefig(output)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bundles", nargs="+", type=Path)
    parser.add_argument("--train", nargs="+", default=["data/train"])
    parser.add_argument("--data", nargs="+", default=["data/test"])
    parser.add_argument("--frozen-rows", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--output", type=Path, default=Path("runs/accuracy_speed.svg"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    scheme, systems = contenders(arguments.bundles, arguments.train, arguments.frozen_rows)
    rows = scheme.read(arguments.data).examples
    texts = [row.text for row in rows]
    accuracy = {}
    for name, system in systems.items():
        told = system(texts)
        per_head = [
            score(
                [config.head(head).reported(row.labels[head]) for row in rows],
                [labels[place] for labels in told],
            ).macro_f1
            for place, (head, config) in enumerate(scheme.heads.items())
        ]
        accuracy[name] = statistics.fmean(per_head)
        print(name, *(f"{value:.3f}" for value in per_head), flush=True)
    pipelines = {
        name: load(1) for name, load in peers(arguments.bundles[0]).items() if "pipeline" in name
    }
    timed = {**systems, **pipelines}
    speeds: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(arguments.rounds):
        for name, system in timed.items():
            speeds[name].append(rate(system, texts, arguments.seconds))
    median = {name: statistics.median(found) for name, found in speeds.items()}
    for name, speed in median.items():
        print(
            f"{name}: {speed:.1f} sentences/s, mean macro-F1 {accuracy.get(name, float('nan')):.3f}"
        )
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    points = {name: (median[name], accuracy[name]) for name in systems}
    draw(points, {name: median[name] for name in pipelines}, arguments.output)


if __name__ == "__main__":
    main()
