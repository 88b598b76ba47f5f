"""Train variants of a configuration under several seeds: what a regulariser or a base brings.

    python tests/benchmarks/variants.py configs/small.yaml runs/variants --seeds 3 \
        --set 'data.train=[my/train.jsonl]' --set 'data.dev=[my/dev.jsonl]' \
        --set data.limit=3400 --set train.batch_size=32 --set train.epochs=2 \
        --variant plain --variant 'focal train.loss=focal' --variant 'R-Drop train.rdrop=1' \
        --variant 'FGM train.adversarial=1' --variant 'adapted base.name=runs/pretrain/base'

A variant is a name and the keys it sets on top of `--set`. Scores are the dev scores after the
last epoch, so nothing is chosen on them; nothing is exported. Every run has a process and a folder
of its own; one that is finished is not run again, and one that was cut off goes on.
"""

from __future__ import annotations

import argparse
import json
import resource
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean, stdev

from rich.console import Console
from rich.table import Table

from training.config import Config, load_config
from training.loop import CHECKPOINT, LOG
from training.run import by_seed, prepare

RESULT = "result.json"


@dataclass(frozen=True, slots=True)
class Result:
    """One run: dev scores after the last epoch, the minutes of all, and the peak of memory."""

    scores: dict[str, float]
    minutes: float
    megabytes: float


def run(config: Config) -> Result:
    """Train, or read what an earlier call of the same run left behind."""
    folder = Path(config.output)
    wanted = config.model_dump(mode="json")
    if (folder / RESULT).is_file():
        content = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        if content["config"] == wanted:
            return Result(**content["result"])
    trainer = prepare(config).trainer
    position = folder / CHECKPOINT / "position.json"
    trainer.run(resume=position.is_file())
    minutes = json.loads(position.read_text(encoding="utf-8"))["position"]["minutes"]
    last = json.loads((folder / LOG).read_text(encoding="utf-8").splitlines()[-1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    result = Result(last["dev_f1"], minutes, peak)
    content = {"config": wanted, "result": asdict(result)}
    (folder / f"{RESULT}.new").write_text(json.dumps(content), encoding="utf-8")
    (folder / f"{RESULT}.new").replace(folder / RESULT)
    return result


def row(name: str, results: Sequence[Result]) -> list[str]:
    """Mean and deviation of each score, and the means of minutes and memory."""
    cells = [name]
    for score in results[0].scores:
        values = [result.scores[score] for result in results]
        spread = f" ± {stdev(values):.3f}" if len(values) > 1 else ""
        cells.append(f"{fmean(values):.3f}{spread}")
    minutes = fmean(result.minutes for result in results)
    return [*cells, f"{minutes:.1f}", f"{max(result.megabytes for result in results):,.0f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("output", type=Path, help="folder of the runs")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--variant", action="append", required=True, metavar="'NAME KEY=VALUE ...'")
    arguments = parser.parse_args()
    results: dict[str, list[Result]] = {}
    for variant in arguments.variant:
        name, *keys = variant.split()
        output = f"output={arguments.output / name}"
        config = load_config(arguments.config, [*arguments.set, *keys, output])
        results[name] = []
        for seed, one in by_seed(config, arguments.seeds).items():
            # accelerate keeps one state per process, and a peak of memory never falls.
            with ProcessPoolExecutor(1, get_context("spawn")) as pool:
                results[name].append(pool.submit(run, one).result())
            print(f"{name}, seed {seed}: {results[name][-1]}", flush=True)
    scores = next(iter(results.values()))[0].scores
    table = Table("dev F1", *(score.replace("_", " ") for score in scores), "minutes", "MB")
    for name, runs in results.items():
        table.add_row(*row(name, runs))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
