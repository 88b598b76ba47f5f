"""How fast a bundle is, and how fast others are on the same sentences in the same minutes.

Every contestant lives in a process of its own, so that its load time and its memory are its own.
They take turns, round after round: what else the machine does meets all of them alike, and the
ratios hold where the figures do not.
"""

from __future__ import annotations

import json
import random
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from stance.readers import read
from stance.sentences import split_sentences
from stance.sources import find_sources

# 25 tokens for the embedded base's tokenizer.
SENTENCE = (
    "Kepala Pelaksana BPBD Tanggamus membenarkan dua warga Desa Sidomulyo hilang setelah "
    "terseret arus pada Sabtu malam."
)
_FIRST_CHUNK = 8  # texts of the first call
_REPEATS = 40  # of the one sentence, per round

Label = Callable[[Sequence[str]], Any]
Load = Callable[[int], Label]  # number of threads -> what labels a list of texts


@dataclass(frozen=True, slots=True)
class Speed:
    """One contestant's figures.

    `first_answer` is the time in seconds to import, load and label one sentence; `rates` the
    sentences per second, text in to labels out, by number of threads; `p50` and `p95` the time in
    milliseconds of one sentence of 25 tokens; `peak_mb` the process's peak memory in megabytes.
    All but the rates are of the smallest number of threads.
    """

    name: str
    first_answer: float
    rates: Mapping[int, float]
    p50: float
    p95: float
    peak_mb: float


def load_bundle(path: Path, threads: int) -> Label:
    """A bundle through the public interface."""
    from stance.predictor import Predictor  # here, so that loading it is on the clock

    return Predictor(path, threads).predict


def sentences(files: Sequence[str]) -> list[str]:
    """The sentences of files or folders, as `stance predict` reads and splits them, shuffled.

    Raises:
        InputError: a file cannot be read.
    """
    lines = read(find_sources(files))
    found = [sentence.text for line in lines for sentence in split_sentences(line.text)]
    random.Random(0).shuffle(found)  # files are sorted, and their lengths differ
    return found


def bench(
    contestants: Mapping[str, Load],
    texts: Sequence[str],
    threads: Sequence[int] = (1, 2),
    rounds: int = 3,
    seconds: float = 2.0,
) -> list[Speed]:
    """Let the contestants label `texts`, in turns.

    Args:
        contestants: name -> a function that loads it; it must pickle.
        texts: real sentences; a slow contestant reads the first of them, a fast one all, in
            circles.
        threads: the numbers of threads to measure.
        rounds: turns; figures are medians over them.
        seconds: how long to label per turn and number of threads.
    """
    least = min(threads)
    first: dict[tuple[str, int], float] = {}
    rates: defaultdict[tuple[str, int], list[float]] = defaultdict(list)
    times: defaultdict[str, list[float]] = defaultdict(list)
    peaks: dict[str, float] = {}
    with ExitStack() as stack:
        homes = {
            (name, number): stack.enter_context(ProcessPoolExecutor(1, get_context("spawn")))
            for name in contestants
            for number in sorted(threads)
        }
        for (name, number), home in homes.items():
            first[name, number] = home.submit(_load, contestants[name], number).result()
        for _ in range(rounds):
            for key, home in homes.items():
                rates[key].append(home.submit(_rate, texts, seconds).result())
                if key[1] == least:
                    times[key[0]] += home.submit(_times).result()
        for name in contestants:
            peaks[name] = homes[name, least].submit(_peak_mb).result()
    return [
        Speed(
            name,
            first[name, least],
            {number: median(rates[name, number]) for number in threads},
            float(np.quantile(times[name], 0.5)) * 1_000,
            float(np.quantile(times[name], 0.95)) * 1_000,
            peaks[name],
        )
        for name in contestants
    ]


# What follows runs in a contestant's own process.
_label: Label


def _load(load: Load, threads: int) -> float:
    global _label
    start = time.perf_counter()
    _label = load(threads)
    _label([SENTENCE])
    return time.perf_counter() - start


def _rate(texts: Sequence[str], seconds: float) -> float:
    done, elapsed, size = 0, 0.0, _FIRST_CHUNK
    start = time.perf_counter()
    while elapsed < seconds:
        _label([texts[row % len(texts)] for row in range(done, done + size)])
        done, size = done + size, 2 * size  # so that neither slow nor fast ones wait for the clock
        elapsed = time.perf_counter() - start
    return done / elapsed


def _times() -> list[float]:
    times = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        _label([SENTENCE])
        times.append(time.perf_counter() - start)
    return times


def _peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def print_speeds(speeds: Sequence[Speed], as_json: bool = False) -> None:
    """A row per contestant, with each rate as a share of the first one's; or JSON Lines."""
    if as_json:
        for speed in speeds:
            print(json.dumps(asdict(speed)))
        return
    first = speeds[0]
    table = Table("contestant", title="p50, p95: one sentence of 25 tokens, fewest threads")
    for number in first.rates:
        table.add_column(f"sent/s, {number} thread{'s' * (number > 1)}", justify="right")
    for name in ("p50 ms", "p95 ms", "first s", "peak MB"):
        table.add_column(name, justify="right")
    for speed in speeds:
        rates = [
            f"{rate:,.0f}" + ("" if speed is first else f" ({rate / first.rates[number]:.2g}x)")
            for number, rate in speed.rates.items()
        ]
        figures = (f"{speed.p50:.1f}", f"{speed.p95:.1f}", f"{speed.first_answer:.2f}")
        table.add_row(speed.name, *rates, *figures, f"{speed.peak_mb:,.0f}")
    Console().print(table)
