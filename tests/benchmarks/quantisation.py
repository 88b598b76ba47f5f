"""What each way to quantise costs in answers, size and time, from one float32 bundle.

stance train configs/small.yaml --set export.quantization=none --output runs/float32
python tests/benchmarks/quantisation.py runs/float32/bundle data/dev --calibrate data/train

Times are processor time of single texts on one thread, the variants in turns: what else the
machine does falls on all alike. Needs the `train` extra.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from rich.console import Console
from rich.table import Table
from tokenizers import Tokenizer

from stance.bundle import Bundle
from stance.kernels import session_options
from training.metrics import score
from training.quantisation import Feed, quantize, quantize_embeddings, quiet
from training.scheme import bundle_scheme

Build = Callable[[Path, Path, Sequence[Feed]], None]


def dynamic(
    source: Path, target: Path, feeds: Sequence[Feed], channels: bool, but: str = ""
) -> None:
    """ORT's dynamic int8; products whose weight has the shape `but` are left out."""
    left_out = [node.name for node in _products(onnx.load(source), but)] if but else []
    quantize_dynamic(
        source,
        target,
        per_channel=channels,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=left_out,
    )


def blocks(
    source: Path, target: Path, feeds: Sequence[Feed], size: int, rest: str = "none"
) -> None:
    """`MatMulNBits`: 8 bits, int8 compute, a scale per row and block; embeddings in int8.

    With `rest="dynamic"` only the feed-forward layers, and dynamic int8 elsewhere.
    """
    # Imported here because it reconfigures the root logger of whoever imports it.
    from onnxruntime.quantization.matmul_nbits_quantizer import (
        DefaultWeightOnlyQuantConfig,
        MatMulNBitsQuantizer,
    )

    model = onnx.load(source)
    quantize_embeddings(model)
    wide = {node.name for node in [*_products(model, "narrowing"), *_products(model, "widening")]}
    keep = [n.name for n in model.graph.node if rest == "dynamic" and n.name not in wide]
    settings = DefaultWeightOnlyQuantConfig(
        block_size=size, is_symmetric=True, accuracy_level=4, bits=8
    )
    quantizer = MatMulNBitsQuantizer(model, nodes_to_exclude=keep, algo_config=settings)
    quantizer.process()
    quantizer.model.save_model_to_file(str(target), use_external_data_format=False)
    if rest == "dynamic":
        quantize_dynamic(target, target, op_types_to_quantize=["MatMul"], per_channel=True)


def static(source: Path, target: Path, feeds: Sequence[Feed], method: CalibrationMethod) -> None:
    """QDQ with fixed activation scales; histograms need texts of one length."""
    [(length, _)] = Counter(feed["input_ids"].shape[1] for feed in feeds).most_common(1)
    alike = [feed for feed in feeds if feed["input_ids"].shape[1] == length]

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._feeds = iter(alike[:100])

        def get_next(self) -> Feed | None:
            return next(self._feeds, None)

    quantize_static(
        source,
        target,
        Reader(),
        op_types_to_quantize=["MatMul", "Gather"],
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=method,
        extra_options={"MatMulConstBOnly": True},
    )


def optimised(source: Path, target: Path, feeds: Sequence[Feed]) -> None:
    """Float32 with ORT's transformer optimiser: fused attention."""
    from onnxruntime.transformers.optimizer import optimize_model

    optimize_model(str(source), model_type="bert", opt_level=1).save_model_to_file(str(target))


def evened_out(source: Path, target: Path, feeds: Sequence[Feed]) -> None:
    """What `export.quantization: int8` does."""
    quantize(source, target, feeds[:300])


VARIANTS: Mapping[str, Build] = {
    "float32, fused attention": optimised,
    "dynamic, scale per tensor": partial(dynamic, channels=False),
    "dynamic, per channel": partial(dynamic, channels=True),
    "the same, FFN output float32": partial(dynamic, channels=True, but="narrowing"),
    "static, MinMax": partial(static, method=CalibrationMethod.MinMax),
    "static, Percentile": partial(static, method=CalibrationMethod.Percentile),
    "blocks of 128 in the FFN": partial(blocks, size=128, rest="dynamic"),
    "blocks of 128": partial(blocks, size=128),
    "blocks of 64": partial(blocks, size=64),
    "blocks of 32": partial(blocks, size=32),
    "evened out (what ships)": evened_out,
}


def _products(model: onnx.ModelProto, shape: str) -> list[onnx.NodeProto]:
    dims = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    wanted = {"narrowing": lambda r, c: r > c, "widening": lambda r, c: r < c}[shape]
    return [
        node
        for node in model.graph.node
        if node.op_type == "MatMul"
        and len(dims.get(node.input[1], ())) == 2
        and min(dims[node.input[1]]) > 8
        and wanted(*dims[node.input[1]])
    ]


def _session(path: Path) -> ort.InferenceSession:
    return ort.InferenceSession(str(path), session_options(), providers=["CPUExecutionProvider"])


def main() -> None:
    """Build, compare and time the variants."""
    parser = argparse.ArgumentParser(description="compare ways to quantise")
    parser.add_argument("bundle", type=Path, help="a float32 bundle")
    parser.add_argument("data", nargs="+", help="labelled rows")
    parser.add_argument("--calibrate", nargs="+", required=True, help="rows to see ranges on")
    parser.add_argument("--only", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--timed", type=int, default=24, help="texts to time")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()

    bundle = Bundle.load(arguments.bundle)
    names = [head.name for head in bundle.heads]
    tokenizer = Tokenizer.from_file(str(bundle.path / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(bundle.max_length)

    def feed(text: str) -> Feed:
        ids = np.array([tokenizer.encode(text).ids])
        return {"input_ids": ids, "attention_mask": np.ones_like(ids)}

    scheme = bundle_scheme(bundle)
    rows = scheme.read(arguments.data).examples
    feeds = [feed(row.text) for row in rows]
    typical = [feed(row.text) for row in scheme.read(arguments.calibrate).examples]
    random.Random(0).shuffle(typical)
    timed = random.Random(0).sample(feeds, arguments.timed)

    with tempfile.TemporaryDirectory() as folder:
        paths = {"float32": bundle.path / "model.onnx"}
        for name in arguments.only:
            paths[name] = Path(folder) / f"{len(paths)}.onnx"
            print(f"building {name}", file=sys.stderr)
            with quiet():
                VARIANTS[name](paths["float32"], paths[name], typical[:3_000])
        sessions = {name: _session(path) for name, path in paths.items()}
        spent: dict[str, np.ndarray] = {
            name: np.zeros((arguments.rounds, len(timed))) for name in sessions
        }
        for turn in range(arguments.rounds):
            for column, inputs in enumerate(timed):
                for name, session in sessions.items():
                    start = time.thread_time()
                    session.run(names, inputs)
                    spent[name][turn, column] = time.thread_time() - start
        figures = {}
        exact: list[np.ndarray] = []
        for name, session in sessions.items():
            runs = [session.run(names, inputs) for inputs in feeds]
            logits = [np.concatenate(values) for values in zip(*runs, strict=True)]
            exact = exact or logits
            figure = {
                "MB": paths[name].stat().st_size / 1e6,
                "ms": 1_000 * float(np.median(spent[name], axis=0).mean()),
                "logits": float(
                    np.mean([np.abs(a - b).mean() for a, b in zip(logits, exact, strict=True)])
                ),
            }
            for head, told, wanted in zip(bundle.heads, logits, exact, strict=True):
                labels = [head.read_out(values).label for values in told]
                before = [head.read_out(values).label for values in wanted]
                known = [i for i, row in enumerate(rows) if head.name in row.labels]
                gold = [head.reported(rows[i].labels[head.name]) for i in known]
                f1 = [score(gold, [given[i] for i in known]).macro_f1 for given in (before, labels)]
                changed = np.mean([a != b for a, b in zip(labels, before, strict=True)])
                figure[f"{head.name} changed"] = float(changed)
                figure[f"{head.name} F1 lost"] = f1[0] - f1[1]
            figures[name] = figure
    parities = [key for key in figures["float32"] if key not in ("MB", "ms", "logits")]
    table = Table("variant", "MB", "ms", "times float32", "logits off", *parities)
    for name, figure in figures.items():
        ratio = figures["float32"]["ms"] / figure["ms"]
        cells = f"{figure['MB']:.1f}", f"{figure['ms']:.2f}", f"{ratio:.2f}"
        shares = (f"{figure[key]:.2%}" for key in parities)
        table.add_row(name, *cells, f"{figure['logits']:.4f}", *shares)
    Console(width=160).print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
