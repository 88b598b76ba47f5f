"""Where a bundle's time goes, by kind of operation, and how near its products come to the peak.

    python tests/benchmarks/graph_profile.py artifacts/default --tokens 25

One sentence at a time, one thread, as the predictor runs it. The peak is what the same runtime
reaches on this processor in one large product of 8-bit integers; the products' own rate is the
multiplications and additions of their weights in the time that the profiler gives them. Rates of
floating-point operations are of the same product in float32.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from rich.console import Console
from rich.table import Table

from stance.bundle import MODEL, Bundle
from stance.kernels import session_options

PRODUCTS = ("MatMulInteger", "DynamicQuantizeMatMul", "MatMulIntegerToFloat")
LARGE = (512, 1536, 1536)  # rows, inner, columns of the product that shows the peak


def session(model: Path | bytes, profile: Path | None = None) -> ort.InferenceSession:
    options = session_options()
    if profile:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    source = str(model) if isinstance(model, Path) else model
    return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def peak(integers: bool) -> float:
    """Billions of operations per second in one large product, the best of twenty."""
    rows, inner, columns = LARGE
    kind = TensorProto.UINT8 if integers else TensorProto.FLOAT
    dtype, weight_type = (np.uint8, np.int8) if integers else (np.float32, np.float32)
    weights = np.random.default_rng(0).integers(-127, 128, (inner, columns)).astype(weight_type)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger" if integers else "MatMul", ["a", "b"], ["c"])],
        "product",
        [helper.make_tensor_value_info("a", kind, [rows, inner])],
        [
            helper.make_tensor_value_info(
                "c", TensorProto.INT32 if integers else kind, [rows, columns]
            )
        ],
        [numpy_helper.from_array(weights, "b")],
    )
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    run = session(model.SerializeToString())
    feed = {"a": np.random.default_rng(1).integers(0, 255, (rows, inner)).astype(dtype)}
    times = []
    for _ in range(20):
        start = time.perf_counter()
        run.run(None, feed)
        times.append(time.perf_counter() - start)
    return 2 * rows * inner * columns / min(times) / 1e9


def weights_multiplied(model: Path) -> int:
    """Entries of the constant 8-bit matrices that every token is multiplied with."""
    graph = onnx.load(model).graph
    sizes = {
        tensor.name: int(np.prod(tensor.dims))
        for tensor in graph.initializer
        if tensor.data_type in (TensorProto.INT8, TensorProto.UINT8) and len(tensor.dims) == 2
    }
    return sum(sizes.get(node.input[1], 0) for node in graph.node if node.op_type in PRODUCTS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--tokens", type=int, default=25)
    parser.add_argument("--runs", type=int, default=200)
    arguments = parser.parse_args()
    model = Bundle.load(arguments.bundle).path / MODEL
    ids = np.arange(5, 5 + arguments.tokens)[None]
    feed = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    plain = session(model)
    times = []
    for _ in range(arguments.runs):
        start = time.perf_counter()
        plain.run(None, feed)
        times.append(time.perf_counter() - start)
    with tempfile.TemporaryDirectory() as folder:
        profiled = session(model, Path(folder) / "run")
        for _ in range(arguments.runs):
            profiled.run(None, feed)
        events = json.loads(Path(profiled.end_profiling()).read_text(encoding="utf-8"))
    spent: Counter[str] = Counter()
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            spent[event["args"]["op_name"]] += event["dur"]
    total = sum(spent.values())
    console = Console()
    table = Table("operation", "ms", "share", title=f"{arguments.tokens} tokens, 1 thread")
    for name, time_spent in spent.most_common(12):
        table.add_row(
            name, f"{time_spent / 1_000 / arguments.runs:.2f}", f"{time_spent / total:.1%}"
        )
    console.print(table)
    products = sum(spent[name] for name in PRODUCTS) / 1e6 / arguments.runs  # seconds
    operations = 2 * weights_multiplied(model) * arguments.tokens
    integer, floating = peak(integers=True), peak(integers=False)
    print(f"p50 without the profiler: {np.median(times) * 1e3:.2f} ms")
    if products and operations:
        rate = operations / products / 1e9
        spent_on = f"{operations / 1e9:.2f} billion operations in {products * 1e3:.2f} ms"
        print(f"8-bit products: {spent_on}, {rate:.0f} G/s, {rate / integer:.0%} of the peak")
        print(f"at the peak the whole would take {operations / integer / 1e6:.2f} ms")
    print(f"peak: {integer:.0f} G/s in 8 bits, {floating:.0f} in float32")


if __name__ == "__main__":
    main()
