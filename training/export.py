"""From torch to a bundle: one graph, int8 if that keeps the quality, calibrated, described."""

from __future__ import annotations

import logging
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from scipy.optimize import minimize_scalar
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from stance.bundle import CARD, MODEL, TOKENIZER, Bundle, Head, replacing, write_manifest
from stance.predictor import Predictor
from training.card import render_card
from training.config import Config
from training.corpus import Example
from training.metrics import Gate, HeadScore, score
from training.model import SentenceClassifier

OPSET = 17  # the newest whose exported graph quantises without rewriting


class _Graph(nn.Module):
    """The classifier with a tuple for output, as the exporter wants it."""

    def __init__(self, model: SentenceClassifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.model(input_ids, attention_mask).values())


def export_bundle(
    model: SentenceClassifier,
    tokenizer: PreTrainedTokenizerFast,
    config: Config,
    dev: Sequence[Example],
    provenance: Mapping[str, Any],
    target: Path,
) -> Bundle:
    """Write a bundle: export, quantise, gate, calibrate, score, describe.

    Temperatures are fitted and scores taken on `dev` from the very graph that is shipped.

    Args:
        model: the fine-tuned classifier.
        tokenizer: its tokenizer.
        config: the run's configuration.
        dev: labelled sentences to gate and calibrate on.
        provenance: what the manifest records of base, data and versions.
        target: the bundle's folder; replaced only when everything has succeeded.
    """
    heads = tuple(settings.head(name) for name, settings in config.heads.items())
    with replacing(target) as folder:
        tokenizer.backend_tokenizer.save(str(folder / TOKENIZER))
        export_onnx(model, list(config.heads), list(config.spans), folder / MODEL)
        write_manifest(folder, heads, tuple(config.spans), config.base.max_length, {}, {})
        exact = _dev_logits(folder, dev)
        gate = Gate(True, "none", {}, {}, 0.0)
        method = config.export.quantization
        if method != "none":
            shutil.copy(folder / MODEL, folder / "float32.onnx")
            quantize(folder / "float32.onnx", folder / MODEL, method)
            write_manifest(folder, heads, tuple(config.spans), config.base.max_length, {}, {})
            gate = _compare(heads, dev, exact, _dev_logits(folder, dev), config)
            if not gate.passed:
                shutil.copy(folder / "float32.onnx", folder / MODEL)
            (folder / "float32.onnx").unlink()
            write_manifest(folder, heads, tuple(config.spans), config.base.max_length, {}, {})
        logits = _dev_logits(folder, dev)
        heads = tuple(
            _calibrated(head, logits[head.name], dev, config.export.target_precision)
            for head in heads
        )
        scores = {head.name: _score(head, logits[head.name], dev) for head in heads}
        metrics = {"dev": {n: asdict(s) for n, s in scores.items()}, "gate": asdict(gate)}
        size = (folder / MODEL).stat().st_size
        (folder / CARD).write_text(
            render_card(heads, scores, gate, provenance, size), encoding="utf-8"
        )
        write_manifest(
            folder, heads, tuple(config.spans), config.base.max_length, provenance, metrics
        )
    return Bundle.load(target)


def export_onnx(
    model: SentenceClassifier, heads: Sequence[str], spans: Sequence[str], path: Path
) -> None:
    """One float32 graph with an output per head and per span; batch and length are dynamic."""
    graph = _Graph(model).cpu().eval()
    # The eager attention exports to plain operators that every runtime knows.
    model.encoder.set_attn_implementation("eager")
    ids = torch.ones(2, 8, dtype=torch.long)
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0  # without padding in the example, the tracer would drop the mask as useless
    axes = {0: "batch", 1: "length"}
    names = ["input_ids", "attention_mask"]
    with warnings.catch_warnings():
        # The tracer warns of branches on shapes; the parity check is what would find a wrong one.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph,
            (ids, mask),
            str(path),
            input_names=names,
            output_names=[*heads, *spans],
            dynamic_axes={
                **dict.fromkeys([*names, *spans], axes),
                **{name: {0: "batch"} for name in heads},
            },
            opset_version=OPSET,
            dynamo=False,
        )
    onnx.checker.check_model(str(path))


def quantize(source: Path, target: Path, method: Literal["dynamic", "mixed"]) -> None:
    """Int8 weights and activations, one weight scale per output channel.

    `dynamic` has one activation scale per tensor everywhere. A few outliers in the feed-forward
    layers then cost the other values their precision, so `mixed` gives those layers a scale per
    row (`MatMulNBits`, int8 compute): slower by a quarter, and far closer to float32.
    """
    with _quiet():
        if method == "mixed":
            # Imported here because it reconfigures the root logger of whoever imports it.
            from onnxruntime.quantization.matmul_nbits_quantizer import (
                DefaultWeightOnlyQuantConfig,
                MatMulNBitsQuantizer,
            )

            model = onnx.load(source)
            settings = DefaultWeightOnlyQuantConfig(
                block_size=128, is_symmetric=True, accuracy_level=4, bits=8
            )
            wide = _feed_forward(model)
            keep = [node.name for node in model.graph.node if node.name not in wide]
            quantizer = MatMulNBitsQuantizer(model, nodes_to_exclude=keep, algo_config=settings)
            quantizer.process()
            quantizer.model.save_model_to_file(str(target), use_external_data_format=False)
            source = target
        quantize_dynamic(source, target, per_channel=True, weight_type=QuantType.QInt8)


def _feed_forward(model: onnx.ModelProto) -> set[str]:
    """Names of the products with a weight that widens or narrows: attention's are square."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    return {
        node.name
        for node in model.graph.node
        if node.op_type == "MatMul" and len(set(shapes.get(node.input[1], ()))) == 2
    }


@contextmanager
def _quiet() -> Iterator[None]:
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


def _dev_logits(folder: Path, dev: Sequence[Example]) -> dict[str, np.ndarray]:
    return Predictor(folder).logits(example.text for example in dev)


def _labelled(head: Head, dev: Sequence[Example]) -> list[int]:
    return [row for row, example in enumerate(dev) if head.name in example.labels]


def _score(head: Head, logits: np.ndarray, dev: Sequence[Example]) -> HeadScore:
    rows = _labelled(head, dev)
    gold = [head.reported(dev[row].labels[head.name]) for row in rows]
    return score(gold, [head.read_out(logits[row]).label for row in rows])


def _compare(
    heads: Sequence[Head],
    dev: Sequence[Example],
    exact: Mapping[str, np.ndarray],
    quantised: Mapping[str, np.ndarray],
    config: Config,
) -> Gate:
    loss, changed, difference = {}, {}, 0.0
    for head in heads:
        before = [head.read_out(row) for row in exact[head.name]]
        after = [head.read_out(row) for row in quantised[head.name]]
        f1 = [_score(head, logits[head.name], dev).macro_f1 for logits in (exact, quantised)]
        loss[head.name] = round(f1[0] - f1[1], 4)
        flips = sum(a.label != b.label for a, b in zip(before, after, strict=True))
        changed[head.name] = round(flips / len(before), 4)
        for a, b in zip(before, after, strict=True):
            gap = max(abs(a.probabilities[x] - b.probabilities[x]) for x in a.probabilities)
            difference = max(difference, gap)
    passed = max(loss.values()) <= config.export.max_macro_f1_loss
    return Gate(passed, config.export.quantization, loss, changed, round(difference, 4))


def _calibrated(head: Head, logits: np.ndarray, dev: Sequence[Example], precision: float) -> Head:
    """The head with its temperature and, at that temperature, a threshold per reported label.

    A threshold is the lowest confidence at and above which the label's precision on `dev` reaches
    `precision`; where no confidence reaches it, the one of the highest precision.
    """
    head = replace(head, temperature=_temperature(head, logits, dev))
    answers: dict[str, list[tuple[float, bool]]] = {label: [] for label in head.reported_labels}
    for row in _labelled(head, dev):
        answer = head.read_out(logits[row])
        right = answer.label == head.reported(dev[row].labels[head.name])
        answers[answer.label].append((answer.confidence, right))
    thresholds = {}
    for label, given in answers.items():
        given.sort(reverse=True)
        hits = np.cumsum([right for _, right in given])
        reached = hits / np.arange(1, len(given) + 1)
        good = np.flatnonzero(reached >= min(precision, reached.max(initial=0.0)))
        # Of equal confidences, all or none: the last one's place counts.
        thresholds[label] = round(given[good[-1]][0], 4) if len(good) else 0.0
    return replace(head, thresholds=thresholds)


def _temperature(head: Head, logits: np.ndarray, dev: Sequence[Example]) -> float:
    """The temperature that minimises the negative log likelihood (Guo et al. 2017)."""
    rows = _labelled(head, dev)
    scores = logits[rows].astype(np.float64)
    gold = [head.labels.index(dev[row].labels[head.name]) for row in rows]

    def loss(log_temperature: float) -> float:
        scaled = scores / np.exp(log_temperature)
        scaled -= scaled.max(axis=1, keepdims=True)
        log_partition = np.log(np.exp(scaled).sum(axis=1))
        return float((log_partition - scaled[np.arange(len(gold)), gold]).mean())

    found = minimize_scalar(loss, bounds=(np.log(0.25), np.log(4.0)), method="bounded")
    return round(float(np.exp(found.x)), 4)
