"""What the spans cost: a bundle without them and with them, in turns.

    python tests/benchmarks/span_cost.py artifacts/default --seconds 5 --rounds 6

The bundle without them is the same graph under a manifest that names no spans: the runtime then
computes only the heads, and nothing is decoded. Every further `--beside` is timed as well.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from functools import partial
from pathlib import Path

from stance.bundle import MODEL, TOKENIZER, Bundle, write_manifest
from training.bench import bench, load_bundle, print_speeds, sentences


def without_spans(path: Path, folder: Path) -> Path:
    bundle = Bundle.load(path)
    for name in (MODEL, TOKENIZER):
        shutil.copy(bundle.path / name, folder / name)
    write_manifest(folder, bundle.heads, (), bundle.max_length, {}, {})
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--beside", type=Path, action="append", default=[], metavar="BUNDLE")
    parser.add_argument("--data", nargs="+", default=["data/test"])
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=6)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        places = {"without spans": without_spans(arguments.bundle, Path(name))}
        places |= {str(path): path for path in (arguments.bundle, *arguments.beside)}
        loads = {key: partial(load_bundle, path) for key, path in places.items()}
        texts = sentences(arguments.data)
        print_speeds(bench(loads, texts, rounds=arguments.rounds, seconds=arguments.seconds))


if __name__ == "__main__":
    main()
