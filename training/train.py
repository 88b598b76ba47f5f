"""Fine-tuning: labelled sentences and a configuration in, the best weights of a run out.

A run lives in its own folder: `checkpoint/` (everything needed to go on), `best.safetensors` (the
weights of the best epoch), `log.jsonl` (one line per epoch) and, once exported, `bundle/`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import cast

import torch
from accelerate.utils import broadcast_object_list, set_seed
from rich.console import Console
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import get_scheduler

from stance.spans import NOTHING, best_tokens
from training.base import Base
from training.batches import MISSING, Batch, Batches
from training.config import Config
from training.loop import BEST, LOG, Loop, Position, finite
from training.losses import BatchLoss, attacked, watched
from training.metrics import score
from training.model import NEW, SentenceClassifier, parameter_groups


class Trainer:
    """One run of fine-tuning.

    Args:
        config: the run's configuration.
        base: the loaded encoder and tokenizer.
        train: tokenised training rows.
        dev: tokenised rows on which the best epoch is chosen.
        inputs: what was read, as `Loop` takes it.
        folder: the run's folder.
        console: where progress goes (stderr).
    """

    def __init__(
        self,
        config: Config,
        base: Base,
        train: Batches,
        dev: Batches,
        inputs: Mapping[str, str],
        folder: Path,
        console: Console,
    ) -> None:
        settings = config.train
        set_seed(settings.seed)
        self._config = config
        self._train = train
        self._dev = dev
        self.model = SentenceClassifier(
            base.encoder, config.heads, list(config.spans), config.base.pooling, settings.dropout
        )
        updates = settings.epochs * math.ceil(len(train.groups) / settings.gradient_accumulation)
        self._loop = Loop(
            self.model,
            parameter_groups(self.model, NEW, settings),
            lambda optimizer: get_scheduler(
                settings.schedule, optimizer, int(updates * settings.warmup), updates
            ),
            settings,
            config,
            inputs,
            folder,
            console,
        )
        shares = {n: train.class_shares(n, len(head.labels)) for n, head in config.heads.items()}
        self._loss = BatchLoss(config, shares, self._loop.device)

    def run(
        self,
        resume: bool = False,
        after_epoch: Callable[[int, Mapping[str, float]], None] = lambda epoch, scores: None,
    ) -> Position:
        """Train to the end, leave the best weights in `self.model`, and say where they came from.

        Args:
            resume: go on from the folder's checkpoint.
            after_epoch: is told each epoch's number, from 0, and dev scores; may raise to stop.

        Raises:
            Interrupted: on Ctrl-C, after a checkpoint.
            ConfigError: `resume` without a checkpoint.
        """
        loop, settings = self._loop, self._config.train
        position = loop.restore() if resume else loop.begin(BEST)
        steps = loop.steps_per_epoch(len(self._train.groups))
        with loop.running(position, steps, steps * settings.epochs):
            for epoch in range(position.epoch, settings.epochs):
                if self._stalled(position):
                    break
                loop.model.train()
                batches = self._train.groups.shuffled(settings.seed, epoch)
                losses = [
                    self._step(self._train.batch(rows))
                    for _, rows in loop.epoch(position, epoch, batches)
                ]
                position = self._close_epoch(position, epoch, fmean(losses or [0.0]), after_epoch)
        self.model = cast(SentenceClassifier, loop.unwrapped())
        self.model.load_state_dict(load_file(loop.folder / BEST))
        return position

    def predict(self, batches: Batches) -> dict[str, list[Tensor]]:
        """Per row, in the rows' order: logits per head, (labels,), and per span, (tokens, 3)."""
        self._loop.model.eval()
        device = self._loop.device
        order: list[int] = []
        names = [*self._config.heads, *self._config.spans]
        parts: dict[str, list[Tensor]] = {name: [] for name in names}
        with torch.inference_mode():
            for rows in batches.groups.in_order():
                batch = batches.batch(rows).to(device)
                for name, logits in self._loop.model(batch.input_ids, batch.attention_mask).items():
                    parts[name] += logits.float().cpu().unbind()
                order += rows
        places = sorted(range(len(order)), key=order.__getitem__)
        return {name: [logits[place] for place in places] for name, logits in parts.items()}

    def _step(self, batch: Batch) -> float:
        settings, loop = self._config.train, self._loop
        batch = (batch.twice() if settings.rdrop else batch).to(loop.device)
        embeddings = self.model.encoder.get_input_embeddings()
        with loop.updating():
            with watched(embeddings) as seen:
                loss = self._batch_loss(batch)
            loop.backward(finite(loss))
            if settings.adversarial:
                with attacked(embeddings, cast(Tensor, seen[0].grad), settings.adversarial):
                    loop.backward(finite(self._batch_loss(batch)))
        return float(loss.detach())

    def _batch_loss(self, batch: Batch) -> Tensor:
        logits = self._loop.model(batch.input_ids, batch.attention_mask)
        return self._loss(logits, batch.targets, batch.teacher)

    def _stalled(self, position: Position) -> bool:
        patience = self._config.train.patience
        if patience is None or position.epoch - 1 - position.best_epoch < patience:
            return False
        self._loop.console.print(f"no better dev score for {patience} epochs: stopping")
        return True

    def _close_epoch(
        self,
        position: Position,
        epoch: int,
        loss: float,
        after_epoch: Callable[[int, Mapping[str, float]], None],
    ) -> Position:
        loop, metric = self._loop, self._config.train.metric
        # Every process scores all dev rows; one decides, lest rounding part their ways.
        scores: dict[str, float] = broadcast_object_list([self.dev_scores()])[0]
        value = chosen(scores, metric)
        if value > position.best_score:
            position = replace(position, best_epoch=epoch, best_score=value)
            if loop.accelerator.is_main_process:
                state = {name: t.contiguous() for name, t in self.model.state_dict().items()}
                save_file(state, loop.folder / f"{BEST}.new")
                (loop.folder / f"{BEST}.new").replace(loop.folder / BEST)
        position = replace(position, epoch=epoch + 1, step=0)
        # First: a crash in between measures the epoch once more, and never leaves it out.
        loop.log({"epoch": epoch + 1, "loss": round(loss, 4), "dev_f1": scores})
        loop.save(position)
        shown = "  ".join(f"{name} {value:.3f}" for name, value in scores.items())
        loop.console.print(f"epoch {epoch + 1}: loss {loss:.3f}, dev F1: {shown}")
        after_epoch(epoch, scores)
        return position

    def dev_scores(self) -> dict[str, float]:
        """On the dev rows: macro-F1 per head, over the reported labels; exact F1 per span."""
        logits = self.predict(self._dev)
        scores = {}
        for name, settings in self._config.heads.items():
            head = settings.head(name)
            rows = [
                (head.reported(head.labels[target]), head.read_out(row.numpy()).label)
                for target, row in zip(self._dev.targets(name).tolist(), logits[name], strict=True)
                if target != MISSING
            ]
            if rows:
                gold, told = zip(*rows, strict=True)
                scores[name] = round(score(gold, told).macro_f1, 4)
        for name in self._config.spans:
            pairs = [
                (tuple(target), best_tokens(row.numpy())[0])
                for target, row in zip(self._dev.targets(name).tolist(), logits[name], strict=True)
                if target[0] != MISSING
            ]
            right = sum(gold == told != NOTHING for gold, told in pairs)
            named = sum((gold != NOTHING) + (told != NOTHING) for gold, told in pairs)
            scores[name] = round(2 * right / named, 4) if named else 1.0
        return scores


def chosen(scores: Mapping[str, float], metric: str) -> float:
    """The number that the best epoch has most of: the mean of the scores, or one of them."""
    return fmean(scores.values()) if metric == "mean" else scores[metric]


def best_scores(folder: Path, metric: str) -> dict[str, float]:
    """The dev scores of a run's best epoch, from its log."""
    lines = (folder / LOG).read_text(encoding="utf-8").splitlines()
    epochs: list[dict[str, float]] = [json.loads(line)["dev_f1"] for line in lines]
    return max(epochs, key=lambda scores: chosen(scores, metric))
