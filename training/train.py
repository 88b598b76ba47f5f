"""Fine-tuning: labelled sentences and a configuration in, the best weights of a run out.

A run lives in its own folder: `checkpoint/` (everything needed to go on), `best.safetensors` (the
weights of the best epoch), `log.jsonl` (one line per epoch) and, once exported, `bundle/`.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import FrameType

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import get_scheduler

from stance.errors import ConfigError, Interrupted
from stance.spans import best_tokens
from training.base import Base
from training.batches import MISSING, Batch, Batches
from training.config import Config, TrainConfig
from training.metrics import score
from training.model import SentenceClassifier, supports_bf16

BEST = "best.safetensors"
CHECKPOINT = "checkpoint"
LOG = "log.jsonl"


@dataclass(frozen=True, slots=True)
class Position:
    """Where a run stands: `step` batches of `epoch` are done."""

    epoch: int = 0
    step: int = 0
    best_score: float = -1.0
    best_epoch: int = -1


class Trainer:
    """One run of fine-tuning.

    Args:
        config: the run's configuration.
        base: the loaded encoder and tokenizer.
        train: tokenised training rows.
        dev: tokenised rows on which the best epoch is chosen.
        folder: the run's folder.
        console: where progress goes (stderr).
    """

    def __init__(
        self,
        config: Config,
        base: Base,
        train: Batches,
        dev: Batches,
        folder: Path,
        console: Console,
    ) -> None:
        settings = config.train
        self._accelerator = Accelerator(
            mixed_precision=_precision(settings),
            gradient_accumulation_steps=settings.gradient_accumulation,
        )
        set_seed(settings.seed)
        self._config = config
        self._folder = folder
        self._console = console
        self._train = train
        self._dev = dev
        self.model = SentenceClassifier(
            base.encoder, config.heads, list(config.spans), config.base.pooling, settings.dropout
        )
        optimizer = torch.optim.AdamW(_parameter_groups(self.model, settings), fused=True)
        updates = settings.epochs * math.ceil(len(train) / settings.gradient_accumulation)
        scheduler = get_scheduler(
            settings.schedule, optimizer, int(updates * settings.warmup), updates
        )
        self._wrapped, self._optimizer, self._scheduler = self._accelerator.prepare(
            self.model, optimizer, scheduler
        )
        self._losses = {
            name: nn.CrossEntropyLoss(
                weight=_class_weights(train.class_shares(name, len(head.labels)), settings).to(
                    self._accelerator.device
                ),
                ignore_index=MISSING,
                label_smoothing=settings.label_smoothing,
            )
            for name, head in config.heads.items()
        }

    def run(self, resume: bool = False) -> Position:
        """Train to the end, leave the best weights in `self.model`, and say where they came from.

        Raises:
            Interrupted: on Ctrl-C, after a checkpoint.
            ConfigError: `resume` without a checkpoint.
        """
        settings = self._config.train
        position = self._restore() if resume else self._begin()
        with _stop_requested() as stop, self._progress(position) as advance:
            for epoch in range(position.epoch, settings.epochs):
                batches = self._train.shuffled(settings.seed, epoch)
                self._wrapped.train()
                saved_at = time.monotonic()
                total = 0.0
                for step, rows in enumerate(batches[position.step :], position.step + 1):
                    total += self._step(self._train.batch(rows))
                    advance(epoch)
                    due = time.monotonic() - saved_at > 60 * settings.checkpoint_minutes
                    if stop or due:
                        self._save(replace(position, epoch=epoch, step=step))
                        saved_at = time.monotonic()
                    if stop:
                        raise Interrupted(
                            f"stopped in epoch {epoch + 1}; run again with --resume to go on"
                        )
                done = max(1, len(batches) - position.step)
                position = self._close_epoch(position, epoch, total / done)
                patience = settings.patience
                if patience is not None and epoch - position.best_epoch >= patience:
                    self._console.print(f"no better dev score for {patience} epochs: stopping")
                    break
        # Without accelerate's wrapper, whose autocast would be traced into the exported graph.
        self.model = self._accelerator.unwrap_model(self._wrapped, keep_fp32_wrapper=False)
        self.model.load_state_dict(load_file(self._folder / BEST))
        return position

    def predict(self, batches: Batches) -> dict[str, list[Tensor]]:
        """Per row, in the rows' order: logits per head, (labels,), and per span, (tokens, 2)."""
        self._wrapped.eval()
        device = self._accelerator.device
        order: list[int] = []
        names = [*self._config.heads, *self._config.spans]
        parts: dict[str, list[Tensor]] = {name: [] for name in names}
        with torch.inference_mode():
            for rows in batches.in_order():
                batch = batches.batch(rows).to(device)
                for name, logits in self._wrapped(batch.input_ids, batch.attention_mask).items():
                    parts[name] += logits.float().cpu().unbind()
                order += rows
        places = sorted(range(len(order)), key=order.__getitem__)
        return {name: [logits[place] for place in places] for name, logits in parts.items()}

    def _step(self, batch: Batch) -> float:
        batch = batch.to(self._accelerator.device)
        with self._accelerator.accumulate(self._wrapped):
            logits = self._wrapped(batch.input_ids, batch.attention_mask)
            loss = self._loss(logits, batch)
            self._accelerator.backward(loss)
            if self._accelerator.sync_gradients:
                limit = self._config.train.max_grad_norm
                self._accelerator.clip_grad_norm_(self._wrapped.parameters(), limit)
            self._optimizer.step()
            self._scheduler.step()
            self._optimizer.zero_grad()
        return float(loss.detach())

    def _loss(self, logits: dict[str, Tensor], batch: Batch) -> Tensor:
        parts = [
            head.weight * self._losses[name](logits[name].float(), batch.targets[name])
            for name, head in self._config.heads.items()
            if (batch.targets[name] != MISSING).any()
        ]
        for name, span in self._config.spans.items():
            target = batch.targets[name]
            if (target != MISSING).any():
                # Start and end are each a choice among the tokens: (batch, length, 2), (batch, 2).
                loss = nn.functional.cross_entropy(
                    logits[name].float(), target, ignore_index=MISSING
                )
                parts.append(span.weight * loss)
        return torch.stack(parts).sum()

    def _close_epoch(self, position: Position, epoch: int, loss: float) -> Position:
        scores = self.dev_scores()
        mean = sum(scores.values()) / len(scores)
        best = position.best_score
        if mean > best:
            best, position = mean, replace(position, best_epoch=epoch)
            state = {name: tensor.contiguous() for name, tensor in self.model.state_dict().items()}
            save_file(state, self._folder / f"{BEST}.new")
            (self._folder / f"{BEST}.new").replace(self._folder / BEST)
        position = replace(position, epoch=epoch + 1, step=0, best_score=best)
        self._save(position)
        record = {"epoch": epoch + 1, "loss": round(loss, 4), "dev_f1": scores}
        with (self._folder / LOG).open("a", encoding="utf-8") as log:
            log.write(json.dumps(record) + "\n")
        shown = "  ".join(f"{name} {value:.3f}" for name, value in scores.items())
        self._console.print(f"epoch {epoch + 1}: loss {loss:.3f}, dev F1: {shown}")
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
            right = sum(gold == told != (0, 0) for gold, told in pairs)
            named = sum((gold != (0, 0)) + (told != (0, 0)) for gold, told in pairs)
            scores[name] = round(2 * right / named, 4) if named else 1.0
        return scores

    def _begin(self) -> Position:
        self._folder.mkdir(parents=True, exist_ok=True)
        for stale in (BEST, LOG):
            (self._folder / stale).unlink(missing_ok=True)
        shutil.rmtree(self._folder / CHECKPOINT, ignore_errors=True)
        return Position()

    def _save(self, position: Position) -> None:
        """Write a checkpoint beside the old one, then take its place: a crash leaves one whole."""
        fresh = self._folder / f"{CHECKPOINT}.new"
        shutil.rmtree(fresh, ignore_errors=True)
        self._accelerator.save_state(str(fresh))
        content = {"position": asdict(position), "config": self._config.model_dump(mode="json")}
        (fresh / "position.json").write_text(json.dumps(content), encoding="utf-8")
        shutil.rmtree(self._folder / CHECKPOINT, ignore_errors=True)
        fresh.replace(self._folder / CHECKPOINT)

    def _restore(self) -> Position:
        folder = self._folder / CHECKPOINT
        if not folder.is_dir():
            raise ConfigError(f"{self._folder}: no checkpoint to resume from; run without --resume")
        content = json.loads((folder / "position.json").read_text(encoding="utf-8"))
        if content["config"] != self._config.model_dump(mode="json"):
            raise ConfigError(f"{folder} was made with another configuration; resume with that one")
        self._accelerator.load_state(str(folder))
        return Position(**content["position"])

    @contextmanager
    def _progress(self, position: Position) -> Iterator[Callable[[int], None]]:
        steps = len(self._train)
        with Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        ) as progress:
            task = progress.add_task(
                "train",
                total=steps * self._config.train.epochs,
                completed=position.epoch * steps + position.step,
                epoch=position.epoch + 1,
            )
            yield lambda epoch: progress.update(task, advance=1, epoch=epoch + 1)


class _Stop:
    """Set by the first Ctrl-C; the second one interrupts at once."""

    def __init__(self) -> None:
        self._asked = False

    def __bool__(self) -> bool:
        return self._asked

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True


@contextmanager
def _stop_requested() -> Iterator[_Stop]:
    stop = _Stop()
    before = {one: signal.signal(one, stop) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _precision(settings: TrainConfig) -> str:
    if settings.precision == "auto":
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return "bf16" if supports_bf16(device) else "no"
    return "no" if settings.precision == "fp32" else "bf16"


def _class_weights(shares: Tensor, settings: TrainConfig) -> Tensor:
    """Weights with mean 1 over the rows, so that the loss keeps its scale."""
    present = shares.clamp_min(1e-6)
    power = {"none": 0.0, "sqrt": 0.5, "balanced": 1.0}[settings.class_weights]
    weights = present.pow(-power)
    weights = weights / (weights * shares).sum()
    # A class that the training data lacks has nothing to weigh.
    return torch.where(shares > 0, weights, torch.ones_like(weights))


def _parameter_groups(model: SentenceClassifier, settings: TrainConfig) -> list[dict[str, object]]:
    """Groups by rate and decay: heads apart, layer-wise decay, none on biases and norms."""
    layers = model.encoder.config.num_hidden_layers
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if name.startswith("heads."):
            rate = settings.head_learning_rate
        else:
            match = re.search(r"\.layers?\.(\d+)\.", name)
            depth = int(match.group(1)) + 1 if match else 0  # embeddings lie below layer 0
            rate = settings.learning_rate * settings.layer_decay ** (layers - depth)
        decay = 0.0 if parameter.ndim < 2 else settings.weight_decay
        groups.setdefault((rate, decay), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]
