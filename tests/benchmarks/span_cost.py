"""What the spans cost: sentences per second with them and without, in turns.

    python tests/benchmarks/span_cost.py artifacts/default data/test --seconds 5 --rounds 6

The bundle without them is the same graph under a manifest that names no spans: the runtime then
computes only the heads, and nothing is decoded. Every further `--beside` is timed as well.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median

from stance import Predictor
from stance.bundle import CARD, MODEL, TOKENIZER, Bundle, write_manifest


def without_spans(bundle: Bundle, folder: Path) -> Path:
    for name in (MODEL, TOKENIZER, CARD):
        shutil.copy(bundle.path / name, folder / name)
    write_manifest(folder, bundle.heads, (), bundle.max_length, {}, {})
    return folder


def rate(predictor: Predictor, texts: list[str], seconds: float) -> float:
    """Sentences per second, over whole passes through `texts`."""
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        done += len(predictor.predict(texts))
    return done / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("data", type=Path, help="a folder of JSONL files with `text`")
    parser.add_argument("--beside", type=Path, action="append", default=[], metavar="BUNDLE")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=6)
    arguments = parser.parse_args()
    lines = (
        line
        for file in sorted(arguments.data.glob("*.jsonl"))
        for line in file.read_text(encoding="utf-8").splitlines()
    )
    texts = [json.loads(line)["text"] for line in lines][::7]
    with tempfile.TemporaryDirectory() as name:
        bare = without_spans(Bundle.load(arguments.bundle), Path(name))
        places = {"without spans": bare, str(arguments.bundle): arguments.bundle}
        places |= {str(place): place for place in arguments.beside}
        predictors = {key: Predictor(at, threads=arguments.threads) for key, at in places.items()}
        rates: dict[str, list[float]] = {key: [] for key in predictors}
        for _ in range(arguments.rounds):
            for key, predictor in predictors.items():
                rates[key].append(rate(predictor, texts, arguments.seconds))
    for key, values in rates.items():
        # Of each round's own ratio, as the machine's speed changes from round to round.
        ratios = [a / b for a, b in zip(values, rates["without spans"], strict=True)]
        print(f"{key}: {median(values):.0f} sentences/s, {median(ratios):.3f} of those without")


if __name__ == "__main__":
    main()
