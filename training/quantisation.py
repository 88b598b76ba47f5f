"""Float32 graph in, int8 graph out: a quarter of the size, and answers that stay the same.

Dynamic int8 has one scale for all activations of a product. Where a few channels or a few tokens
are far larger than the rest, as in the feed-forward layers of BERTs, the rest loses its precision
and labels change. So before quantising

- channels are evened out: each is divided by a factor that its row of the weights is multiplied
  by, from the largest values seen on sentences (SmoothQuant, Xiao et al. 2023);
- each token is divided by its largest value, and its product multiplied by it: a scale per token,
  through kernels that know but one per tensor.

Both are exact in float32. Weights get a scale per output channel, embeddings a scale per token.
Weights are signed, for which there are the fastest kernels; where these overflow, `stance.kernels`
has the runtime take others.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

ALPHA = 0.6  # how much of an outlier goes into the weights; 0.5 to 0.7 are alike
_NARROW = 8  # products that narrow to fewer outputs are left exact: they decide and cost nothing
_TINY = 1e-6

Feed = Mapping[str, np.ndarray]  # the graph's inputs for one text


def quantize(source: Path, target: Path, feeds: Iterable[Feed]) -> None:
    """Write the int8 form of a float32 graph.

    Args:
        source: the float32 graph.
        target: the file to write.
        feeds: inputs of some hundred typical texts, to see the range of each channel on.
    """
    model = onnx.load(source)
    _name_weights(model)
    groups = _products(model)
    peaks = channel_peaks(model, [group.source for group in groups], feeds)
    # Layers that share their weights (ALBERT) share what these are multiplied by.
    by_weights: dict[tuple[str, ...], list[_Group]] = {}
    for group in groups:
        by_weights.setdefault(tuple(weight.name for weight in group.weights), []).append(group)
    for alike in by_weights.values():
        peak = np.max([peaks[group.source] for group in alike], axis=0)
        factor = _scale_weights(alike[0].weights, peak)
        for group in alike:
            _even_out(model, group, factor)
    quantize_embeddings(model)
    with quiet():
        quantize_dynamic(
            model,
            target,
            op_types_to_quantize=["MatMul"],
            nodes_to_quantize=[node.name for group in groups for node in group.nodes],
            per_channel=True,
            weight_type=QuantType.QInt8,
        )


def _name_weights(model: ModelProto) -> None:
    """Let every product name its weight: one that layers share, the exporter hands on."""
    weights = {tensor.name for tensor in model.graph.initializer}
    meant = {
        node.output[0]: node.input[0]
        for node in model.graph.node
        if node.op_type == "Identity" and node.input[0] in weights
    }
    for node in model.graph.node:
        if node.op_type == "MatMul" and node.input[1] in meant:
            node.input[1] = meant[node.input[1]]


@dataclass(frozen=True, slots=True)
class _Group:
    """Products of one activation with weights: `source` is its name."""

    source: str
    nodes: Sequence[NodeProto]
    weights: Sequence[TensorProto]


def _products(model: ModelProto) -> list[_Group]:
    weights = {tensor.name: tensor for tensor in model.graph.initializer if len(tensor.dims) == 2}
    by_source: dict[str, list[NodeProto]] = {}
    for node in model.graph.node:
        weight = weights.get(node.input[1]) if node.op_type == "MatMul" else None
        if weight is not None and weight.dims[1] > _NARROW:
            by_source.setdefault(node.input[0], []).append(node)
    return [
        _Group(source, nodes, [weights[node.input[1]] for node in nodes])
        for source, nodes in by_source.items()
    ]


def channel_peaks(
    model: ModelProto, names: Sequence[str], feeds: Iterable[Feed]
) -> dict[str, np.ndarray]:
    """The largest absolute value per channel, shape (channels,), of each named activation."""
    probe = ModelProto()
    probe.CopyFrom(model)
    del probe.graph.output[:]
    for name in names:
        probe.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(
        probe.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    peaks: dict[str, np.ndarray] = {}
    for feed in feeds:
        for name, values in zip(names, session.run(list(names), dict(feed)), strict=True):
            peak = np.abs(values).max(axis=tuple(range(values.ndim - 1)))
            peaks[name] = np.maximum(peaks.get(name, 0.0), peak)
    return peaks


def _scale_weights(weights: Sequence[TensorProto], peak: np.ndarray) -> np.ndarray:
    """Multiply weights by a factor per channel of their activation, and return it."""
    arrays = [numpy_helper.to_array(weight) for weight in weights]
    reach = np.max([np.abs(array).max(axis=1) for array in arrays], axis=0)
    factor: np.ndarray = np.maximum(peak, _TINY) ** ALPHA / np.maximum(reach, _TINY) ** (1 - ALPHA)
    for weight, array in zip(weights, arrays, strict=True):
        scaled = (array * factor[:, None]).astype(np.float32)
        weight.CopyFrom(numpy_helper.from_array(scaled, weight.name))
    return factor


def _even_out(model: ModelProto, group: _Group, factor: np.ndarray) -> None:
    """Divide the activation by channel and by token, and multiply the products by token again."""
    source = group.source
    even, peaks, scale, scaled_name = (
        f"{source}_{part}" for part in ("even", "abs", "scale", "rows")
    )
    _constant(model, f"{source}_factor", (1 / factor).astype(np.float32))
    _constant(model, f"{source}_tiny", np.array(_TINY, np.float32))
    before = [
        helper.make_node("Mul", [source, f"{source}_factor"], [even], even),
        helper.make_node("Abs", [even], [peaks], peaks),
        helper.make_node("ReduceMax", [peaks], [f"{peaks}_max"], f"{peaks}_max", axes=[-1]),
        helper.make_node("Max", [f"{peaks}_max", f"{source}_tiny"], [scale], scale),
        helper.make_node("Div", [even, scale], [scaled_name], scaled_name),
    ]
    for node in group.nodes:
        product = node.output[0]
        node.input[0], node.output[0] = scaled_name, f"{product}_rows"
        after = helper.make_node("Mul", [node.output[0], scale], [product], f"{product}_scaled")
        _insert(model, _place(model, node) + 1, [after])
    _insert(model, _place(model, group.nodes[0]), before)


def quantize_embeddings(model: ModelProto) -> None:
    """Keep the largest table of a `Gather` in int8, with a scale per row, in place."""
    tables = {tensor.name: tensor for tensor in model.graph.initializer if len(tensor.dims) == 2}
    gathers = [n for n in model.graph.node if n.op_type == "Gather" and n.input[0] in tables]
    gather = max(gathers, key=lambda node: tables[node.input[0]].dims[0])
    table = tables[gather.input[0]]
    values = numpy_helper.to_array(table)
    scales = np.maximum(np.abs(values).max(axis=1, keepdims=True), _TINY) / 127
    small, scale = f"{table.name}_int8", f"{table.name}_scale"
    _constant(model, small, np.round(values / scales).astype(np.int8))
    _constant(model, scale, scales.astype(np.float32))
    model.graph.initializer.remove(table)
    ids, embedded = gather.input[1], gather.output[0]
    place = _place(model, gather)
    model.graph.node.remove(gather)
    _insert(
        model,
        place,
        [
            helper.make_node("Gather", [small, ids], [f"{small}_rows"], small),
            helper.make_node("Cast", [f"{small}_rows"], [f"{small}_float"], f"{small}_float", to=1),
            helper.make_node("Gather", [scale, ids], [f"{scale}_rows"], scale),
            helper.make_node("Mul", [f"{small}_float", f"{scale}_rows"], [embedded], embedded),
        ],
    )


def _constant(model: ModelProto, name: str, values: np.ndarray) -> None:
    model.graph.initializer.append(numpy_helper.from_array(values, name))


def _place(model: ModelProto, node: NodeProto) -> int:
    return next(i for i, other in enumerate(model.graph.node) if other.name == node.name)


def _insert(model: ModelProto, place: int, nodes: Sequence[NodeProto]) -> None:
    for offset, node in enumerate(nodes):
        model.graph.node.insert(place + offset, node)


@contextmanager
def quiet() -> Iterator[None]:
    """Without the quantisers' log, and with the root logger left as it was found."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        root.setLevel(level)
        root.handlers[:] = handlers
