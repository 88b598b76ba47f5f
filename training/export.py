"""From torch to a bundle: one graph, int8 if that keeps the quality, calibrated, described."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from stance.bundle import CARD, MODEL, TOKENIZER, Bundle, Head, replacing, write_manifest
from stance.errors import StanceError
from stance.predictor import Predictor
from training.calibration import calibrated, labelled
from training.card import render_card
from training.config import Config
from training.corpus import Example
from training.metrics import Gate, HeadScore, score
from training.model import SentenceClassifier
from training.quantisation import quantize
from training.scores import SystemScore
from training.span_scores import score_spans

OPSET = 17  # the newest whose exported graph quantises without rewriting
MAX_TORCH_DIFFERENCE = 1e-3  # of a logit; rounding alone gives a hundredth of it
_FEEDS = 300  # training texts on which ranges are seen
_TORCH_FEEDS = 32  # of them, on which the graph is compared with torch


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
    train: Sequence[Example],
    dev: Sequence[Example],
    baselines: Sequence[SystemScore],
    provenance: Mapping[str, Any],
    target: Path,
) -> Bundle:
    """Write a bundle: export, quantise, gate, calibrate, score, describe.

    Temperatures are fitted and scores taken on `dev` from the very graph that is shipped.

    Args:
        model: the fine-tuned classifier.
        tokenizer: its tokenizer.
        config: the run's configuration.
        train: sentences to see the range of each channel on, for int8.
        dev: labelled sentences to gate and calibrate on, which int8 has not seen.
        baselines: what others score on `dev`, for the card.
        provenance: what the manifest records of base, data and versions.
        target: the bundle's folder; replaced only when everything has succeeded.

    Raises:
        StanceError: the float32 graph does not compute what the classifier does.
    """
    heads = tuple(settings.head(name) for name, settings in config.heads.items())
    spans, longest = tuple(config.spans), config.base.max_length
    precision = config.export.target_precision
    typical = Random(0).sample(train, min(len(train), _FEEDS))
    feeds = [_feed(tokenizer, example.text, longest) for example in typical]
    with replacing(target) as folder:
        tokenizer.backend_tokenizer.save(str(folder / TOKENIZER), pretty=False)
        export_onnx(model, list(config.heads), list(config.spans), folder / MODEL)
        difference = _difference_from_torch(model, folder / MODEL, feeds)
        write_manifest(folder, heads, spans, longest, {}, {})
        logits = exact = _dev_logits(folder, dev)
        gate = Gate(True, "none", {}, {}, 0.0, {}, difference, {})
        if config.export.quantization != "none":
            shutil.copy(folder / MODEL, folder / "float32.onnx")
            quantize(folder / "float32.onnx", folder / MODEL, feeds)
            write_manifest(folder, heads, spans, longest, {}, {})
            quantised = _dev_logits(folder, dev)
            # As users would see both: with the calibration that float32 asks for.
            fitted = tuple(calibrated(head, exact[head.name], dev, precision) for head in heads)
            gate = _compare(fitted, dev, exact, quantised, config, difference)
            if gate.passed:
                logits = quantised
            else:
                shutil.copy(folder / "float32.onnx", folder / MODEL)
            (folder / "float32.onnx").unlink()
            write_manifest(folder, heads, spans, longest, {}, {})
        heads = tuple(calibrated(head, logits[head.name], dev, precision) for head in heads)
        scores = {head.name: _score(head, logits[head.name], dev) for head in heads}
        told = Predictor(folder).predict([example.text for example in dev])
        span_scores = score_spans(dev, told, spans)
        metrics = {
            "dev": {name: asdict(result) for name, result in scores.items()},
            "spans": {name: asdict(result) for name, result in span_scores.items()},
            "baselines": {
                system.name: {name: task.macro_f1 for name, task in system.tasks.items()}
                for system in baselines
            },
            "gate": asdict(gate),
        }
        size = (folder / MODEL).stat().st_size
        (folder / CARD).write_text(
            render_card(heads, scores, span_scores, gate, baselines, provenance, size),
            encoding="utf-8",
        )
        write_manifest(folder, heads, spans, longest, provenance, metrics)
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


def _dev_logits(folder: Path, dev: Sequence[Example]) -> dict[str, np.ndarray]:
    return Predictor(folder).logits(example.text for example in dev)


def _score(head: Head, logits: np.ndarray, dev: Sequence[Example]) -> HeadScore:
    rows = labelled(head, dev)
    gold = [head.reported(dev[row].labels[head.name]) for row in rows]
    return score(gold, [head.read_out(logits[row]).label for row in rows])


def _feed(tokenizer: PreTrainedTokenizerFast, text: str, longest: int) -> dict[str, np.ndarray]:
    ids = tokenizer(text, truncation=True, max_length=longest)["input_ids"]
    return {"input_ids": np.array([ids]), "attention_mask": np.ones((1, len(ids)), np.int64)}


def _batch(feeds: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    longest = max(feed["input_ids"].shape[1] for feed in feeds)
    return {
        name: np.concatenate(
            [np.pad(feed[name], ((0, 0), (0, longest - feed[name].shape[1]))) for feed in feeds]
        )
        for name in feeds[0]
    }


def _difference_from_torch(
    model: SentenceClassifier, graph: Path, feeds: Sequence[Mapping[str, np.ndarray]]
) -> float:
    """The largest difference between the outputs of the graph and of torch.

    On single texts, and on the first two as a batch, whose padding is to be masked.
    """
    session = ort.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    difference = 0.0
    for feed in [*feeds[:_TORCH_FEEDS], _batch(feeds[:2])]:
        with torch.inference_mode():
            wanted = model(**{name: torch.from_numpy(array) for name, array in feed.items()})
        for values, told in zip(wanted.values(), session.run(None, dict(feed)), strict=True):
            difference = float(np.maximum(difference, np.abs(values.numpy() - told).max()))
    if not difference <= MAX_TORCH_DIFFERENCE:  # nor where it is not a number
        raise StanceError(
            f"the exported graph differs from the model by {difference:.4f}, more than "
            f"{MAX_TORCH_DIFFERENCE}; export with the torch and onnx that pyproject.toml names"
        )
    return round(difference, 7)


def _compare(
    heads: Sequence[Head],
    dev: Sequence[Example],
    exact: Mapping[str, np.ndarray],
    quantised: Mapping[str, np.ndarray],
    config: Config,
    difference: float,
) -> Gate:
    loss, changed, recall_loss, gap = {}, {}, {}, 0.0
    for head in heads:
        before, after = (_score(head, logits[head.name], dev) for logits in (exact, quantised))
        loss[head.name] = round(before.macro_f1 - after.macro_f1, 4)
        recall_loss[head.name] = {
            label: round(scores.recall - after.classes[label].recall, 4)
            for label, scores in before.classes.items()
        }
        pairs = [
            (head.read_out(a), head.read_out(b))
            for a, b in zip(exact[head.name], quantised[head.name], strict=True)
        ]
        changed[head.name] = round(sum(a.label != b.label for a, b in pairs) / len(pairs), 4)
        gap = max(
            gap,
            *(
                abs(a.probabilities[x] - b.probabilities[x])
                for a, b in pairs
                for x in a.probabilities
            ),
        )
    limit = config.export.max_macro_f1_loss
    return Gate(
        max(loss.values()) <= limit,
        config.export.quantization,
        loss,
        changed,
        round(gap, 4),
        recall_loss,
        difference,
        {"macro_f1_loss": limit},
    )
