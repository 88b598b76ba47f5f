"""Compare three ways to find a span: one segment of tags, each tag alone, start and end.

    python tests/benchmarks/span_schemes.py configs/small.yaml \
        --set 'data.dev=[my/dev.jsonl]' --set data.limit=4000 --set train.epochs=2

All are trained on the same rows in the same order from the same seed, beside the same heads, by the
negative log-likelihood of a sentence's annotation: of the answer among all with at most one span
(what the product does), of all its tags one by one, or of first and last token (the mean of both).
Scores are macro-F1 of the heads and F1 of spans, in tokens, on the dev rows, without quantisation;
the last epoch counts, so nothing is chosen on them. Both matter: what wins spans by a loud loss
loses labels.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from accelerate.utils import set_seed
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional
from transformers import get_scheduler

from stance.spans import BEGIN, INSIDE, NOTHING, OUTSIDE, best_tokens
from training.base import load_base
from training.batches import MISSING, Batches
from training.config import Config, load_config
from training.corpus import read_dataset
from training.losses import BatchLoss
from training.metrics import score
from training.model import NEW, SentenceClassifier, parameter_groups
from training.precision import mixed_precision


class Segment:
    """The product's own way."""

    def __init__(self, config: Config, loss: BatchLoss) -> None:
        self._loss = loss

    def loss(self, outputs: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
        return self._loss(outputs, targets)

    def scores(self, output: Tensor) -> Tensor:
        """What `best_tokens` is to read of a span's output, (…, 3)."""
        return output


class Tags(Segment):
    """BIO as it is usually trained: a sentence costs the sum of what its tags cost."""

    def __init__(self, config: Config, loss: BatchLoss) -> None:
        super().__init__(config, loss)
        self._config = config

    def loss(self, outputs: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
        total = _heads_only(self._loss, self._config, outputs, targets)
        for name, span in self._config.spans.items():
            known = targets[name][:, 0] != MISSING
            scores, (first, last) = (
                outputs[name][known],
                targets[name][known].unsqueeze(2).unbind(1),
            )
            places = torch.arange(scores.shape[1])
            tags = torch.where((first > 0) & (first < places) & (places <= last), INSIDE, OUTSIDE)
            tags = torch.where((first > 0) & (places == first), BEGIN, tags)
            cost = functional.cross_entropy(scores.flatten(0, 1), tags.flatten(), reduction="sum")
            total = total + span.weight * cost / max(len(tags), 1)
        return total


class StartEnd:
    """First and last token are each a choice among the tokens, the first one standing for none.

    The output for the tag «outside» is not used: the other two are masked where the padding is.
    """

    def __init__(self, config: Config, loss: BatchLoss) -> None:
        self._config, self._loss = config, loss

    def loss(self, outputs: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
        total = _heads_only(self._loss, self._config, outputs, targets)
        for name, span in self._config.spans.items():
            scores, target = self.scores(outputs[name]), targets[name]
            if (target != MISSING).any():
                choice = functional.cross_entropy(scores, target, ignore_index=MISSING)
                total = total + span.weight * choice
        return total

    def scores(self, output: Tensor) -> Tensor:
        return output[..., 1:]


def _heads_only(
    loss: BatchLoss, config: Config, outputs: dict[str, Tensor], targets: dict[str, Tensor]
) -> Tensor:
    # Without their targets the spans cost nothing.
    silent = {name: torch.full_like(targets[name], MISSING) for name in config.spans}
    return loss(outputs, {**targets, **silent})


SCHEMES: dict[str, type[Segment] | type[StartEnd]] = {
    "segment": Segment,
    "tags": Tags,
    "start-end": StartEnd,
}


def fit(
    config: Config, scheme: type[Segment] | type[StartEnd], progress: Console
) -> dict[str, float]:
    """Train one scheme: its scores, and the minutes."""
    settings = config.train
    names = list(config.spans)
    base, _ = load_base(config.base, allow_fallback=True)
    train, dev = (
        Batches(
            read_dataset(files, config.heads, config.spans, config.data).examples,
            config.heads,
            names,
            base.tokenizer,
            config.base.max_length,
            settings.batch_size,
        )
        for files in (config.data.train, config.data.dev)
    )
    set_seed(settings.seed)
    model = SentenceClassifier(
        base.encoder, config.heads, names, config.base.pooling, settings.dropout
    )
    optimizer = torch.optim.AdamW(parameter_groups(model, NEW, settings), fused=True)
    steps = settings.epochs * len(train.groups)
    schedule = get_scheduler(settings.schedule, optimizer, int(steps * settings.warmup), steps)
    shares = {n: train.class_shares(n, len(h.labels)) for n, h in config.heads.items()}
    way = scheme(config, BatchLoss(config, shares, torch.device("cpu")))
    half = mixed_precision(settings) == "bf16"
    began = time.monotonic()
    for epoch in range(settings.epochs):
        model.train()
        for done, rows in enumerate(train.groups.shuffled(settings.seed, epoch)):
            batch = train.batch(rows)
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                outputs = model(batch.input_ids, batch.attention_mask)
            outputs = {name: scores.float() for name, scores in outputs.items()}
            loss = way.loss(outputs, batch.targets)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), settings.max_grad_norm)
            optimizer.step()
            schedule.step()
            if done % 50 == 0:
                place = f"epoch {epoch + 1}, step {done}"
                progress.print(f"{scheme.__name__}: {place}, loss {loss.item():.3f}")
    minutes = (time.monotonic() - began) / 60
    return {**scores(model, dev, config, way.scores), "minutes": minutes}


def scores(
    model: nn.Module, dev: Batches, config: Config, read: Callable[[Tensor], Tensor]
) -> dict[str, float]:
    """Macro-F1 of each head, exact and overlap F1 of each span, in tokens."""
    model.eval()
    labels: dict[str, list[tuple[str, str]]] = {name: [] for name in config.heads}
    counts = {name: [0, 0, 0] for name in config.spans}  # exact, overlapping, annotated + predicted
    with torch.inference_mode():
        for rows in dev.groups.in_order():
            batch = dev.batch(rows)
            outputs: Mapping[str, Tensor] = model(batch.input_ids, batch.attention_mask)
            for name, settings in config.heads.items():
                head = settings.head(name)
                for logits, gold in zip(outputs[name], batch.targets[name].tolist(), strict=True):
                    if gold != MISSING:
                        told = head.read_out(logits.numpy()).label
                        labels[name].append((head.reported(head.labels[gold]), told))
            lengths = batch.attention_mask.sum(1).tolist()
            for name, count in counts.items():
                spans = map(tuple, batch.targets[name].tolist())
                for logits, length, gold in zip(outputs[name], lengths, spans, strict=True):
                    if gold[0] == MISSING:
                        continue
                    told, _ = best_tokens(read(logits[:length]).numpy())
                    both = NOTHING not in (gold, told)
                    count[0] += both and gold == told
                    count[1] += both and told[0] <= gold[1] and gold[0] <= told[1]
                    count[2] += (gold != NOTHING) + (told != NOTHING)
    return {
        **{name: score(*zip(*pairs, strict=True)).macro_f1 for name, pairs in labels.items()},
        **{
            f"{name} {kind}": 2 * hits / total if total else math.nan
            for name, (exact, overlap, total) in counts.items()
            for kind, hits in (("exact", exact), ("overlap", overlap))
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--scheme", action="append", choices=list(SCHEMES), help="default: all")
    arguments = parser.parse_args()
    config = load_config(arguments.config, arguments.set)
    console = Console(stderr=True)
    for name in arguments.scheme or SCHEMES:
        result = fit(config, SCHEMES[name], console)
        print(name, *(f"{k} {v:.3f}" for k, v in result.items()), sep="  ", flush=True)


if __name__ == "__main__":
    main()
