"""Label partitioned Parquet with Ray Data, with 1 worker and with more, in turns.

    python tests/benchmarks/ray_parquet.py --rows 4000 --workers 1 2 --rounds 3

Sentences of `data/` are written as Parquet in eight parts under a temporary folder; each run reads
them, labels them in processes that load the model once and use one thread, and writes Parquet.
Printed are the sentences per second of the labelling with the workers up: Ray's own start and the
loading of the models, which a long job forgets, are printed apart.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import ray

from stance import Predictor

DATA = Path(__file__).resolve().parents[2] / "data"
PARTS = 8
BLOCK = 128  # rows; without it small parts reach the workers as one input, and one works


class Labeller:
    """One per worker process: the model is loaded once."""

    def __init__(self) -> None:
        self._predictor = Predictor(threads=1)
        self._loaded = time.time()

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        began = time.time()
        labelled = self._predictor.predict_batch(batch)
        rows = len(batch["text"])
        return {**labelled, "began": [began] * rows, "ended": [time.time()] * rows}


def write_parts(rows: int, folder: Path) -> None:
    """Sentences of the corpus, over and over, as partitioned Parquet."""
    files = sorted((DATA / "test").glob("*.jsonl"))
    texts = [json.loads(line)["text"] for file in files for line in file.open(encoding="utf-8")]
    chosen = list(islice(cycle(texts), rows))
    for part in range(PARTS):
        place = folder / f"part={part}"
        place.mkdir(parents=True)
        pq.write_table(pa.table({"text": chosen[part::PARTS]}), place / "rows.parquet")


def run(source: Path, target: Path, workers: int) -> tuple[float, float]:
    """Sentences per second of the labelling, and the seconds of the whole job."""
    began = time.time()
    rows = ray.data.read_parquet(str(source)).repartition(target_num_rows_per_block=BLOCK)
    pool = ray.data.ActorPoolStrategy(size=workers)
    labelled = rows.map_batches(Labeller, batch_size=64, compute=pool, num_cpus=1)
    labelled.write_parquet(str(target))
    whole = time.time() - began
    table = pq.read_table(target)
    busy = max(table["ended"].to_pylist()) - min(table["began"].to_pylist())
    return table.num_rows / busy, whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    # Reading and writing take slots as well; the labelling is what is to be bound by cores.
    ray.init(num_cpus=max(arguments.workers) + 2, include_dashboard=False, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "rows"
        write_parts(arguments.rows, source)
        rates: dict[int, list[float]] = {workers: [] for workers in arguments.workers}
        for turn in range(arguments.rounds):
            for workers in arguments.workers:
                rate, whole = run(source, Path(folder) / f"{turn}-{workers}", workers)
                rates[workers].append(rate)
                print(f"{workers} workers: {rate:.0f} sentences/s, {whole:.1f} s with the start")
        for workers, measured in rates.items():
            ratio = statistics.median(measured) / statistics.median(rates[arguments.workers[0]])
            print(f"{workers} workers: {statistics.median(measured):.0f}/s, {ratio:.2f} times")


if __name__ == "__main__":
    main()
