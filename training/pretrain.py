"""Domain-adaptive pretraining: raw text and a base in, a base that knows the domain out.

Masked language modelling of whole words goes on where the base's own pretraining ended (Gururangan
et al. 2020, "Don't Stop Pretraining"). A base without a language modelling head gets a new one,
which is trained from nothing: its first loss says nothing about the encoder.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import cast

import torch
from accelerate.utils import set_seed
from pydantic import Field
from rich.console import Console
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from transformers import AutoModelForMaskedLM

from stance.bundle import replacing
from training.base import Base, load_base
from training.config import EncoderConfig, OptimizerConfig
from training.loop import LOG, Loop, Position, finite, run_console
from training.masked_lm import MaskedLanguageModel
from training.model import parameter_groups
from training.provenance import commit, versions
from training.rawtext import MaskedBatch, MaskedText, TextFile, hold_out, read_documents
from training.schema import Section


class TextConfig(Section):
    """The raw text."""

    files: tuple[str, ...] = Field(
        min_length=1, description="plain text (blank lines part documents) or JSON Lines, or .gz"
    )
    column: str = Field("text", description="column of JSON Lines that holds the document")
    held_out: float = Field(
        0.01, gt=0, lt=1, description="share of the documents that is only measured on"
    )
    limit: int | None = Field(None, ge=2, description="use only the first documents")


class PretrainTrainConfig(OptimizerConfig):
    """Optimisation. The run ends with whichever of epochs, steps and minutes is over first."""

    epochs: int = Field(1, ge=1, description="passes over the text")
    steps: int | None = Field(None, ge=1, description="most batches to train on; null is off")
    max_minutes: float | None = Field(
        None, gt=0, description="most minutes to train; the rate falls to zero by then; null is off"
    )
    dropout: float = Field(
        0.0, ge=0, lt=1, description="everywhere in the encoder; a pass or two overfit nothing"
    )
    masking: float = Field(0.15, gt=0, lt=1, description="share of the words to predict")
    evaluate_steps: int = Field(500, ge=1, description="batches between two held-out losses")


class PretrainConfig(Section):
    """A whole pretraining."""

    base: EncoderConfig
    text: TextConfig
    train: PretrainTrainConfig = PretrainTrainConfig()
    output: str = Field("runs/pretrain", description="run folder: checkpoint, log and `base/`")


def pretrain(config: PretrainConfig, resume: bool = False, allow_fallback: bool = True) -> Path:
    """Go on with masked language modelling; the adapted base ends in `<config.output>/base`.

    Args:
        config: the run.
        resume: go on from the run folder's checkpoint.
        allow_fallback: whether `base.fallback` may replace an unreachable `base.name`.

    Raises:
        ConfigError: the base cannot be loaded or pretrained, or there is nothing to resume.
        DataError: a text cannot be read.
        Interrupted: the run was stopped; its checkpoint is kept.
    """
    console = run_console()
    documents, files = read_documents(config.text.files, config.text.column)
    documents = documents[: config.text.limit]
    set_seed(config.train.seed)  # a new head's weights are drawn while the base is loaded
    base, notice = load_base(config.base, allow_fallback, AutoModelForMaskedLM)
    if notice:
        console.print(notice)
    parts = hold_out(documents, config.text.held_out, config.train.seed)
    text, held = (
        MaskedText(part, base.tokenizer, config.base.max_length, config.train.batch_size)
        for part in parts
    )
    console.print(
        f"{base.used}: {base.encoder.num_parameters() / 1e6:.1f} M parameters; "
        f"{text.tokens:,} tokens to train on, {held.tokens:,} held out"
    )
    inputs = {**base.inputs, **{file.path: file.sha256 for file in files}}
    run = Pretraining(config, base, text, held, inputs, console)
    run.run(resume)
    folder = Path(config.output) / "base"
    run.write(folder, files)
    console.print(f"base written to {folder}; name it as base.name to fine-tune it")
    return folder


class Pretraining:
    """One run of masked language modelling.

    Args:
        config: the run's configuration.
        base: the loaded model with its head, and the tokenizer.
        text: what is trained on.
        held: what is only measured on, always with the same words masked.
        inputs: what was read, as `Loop` takes it.
        console: where progress goes (stderr).
    """

    def __init__(
        self,
        config: PretrainConfig,
        base: Base,
        text: MaskedText,
        held: MaskedText,
        inputs: Mapping[str, str],
        console: Console,
    ) -> None:
        settings = config.train
        self._config, self._base, self._text, self._held = config, base, text, held
        model = MaskedLanguageModel(base.encoder)
        model.check()
        # ALBERT pretrains without (Lan et al. 2020); on CPUs it takes a third of a step.
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = settings.dropout
        if not torch.cuda.is_available():
            # On CPUs a fifth faster than the fused kernel, whose gain is memory.
            base.encoder.set_attn_implementation("eager")
        if base.headless:
            # The text's own frequencies: a head that starts at them wastes no step on learning
            # that some words are common.
            counts = text.frequencies(base.encoder.config.vocab_size) + 1
            head = base.encoder.get_output_embeddings()  # type: ignore[no-untyped-call]
            head.bias.data.copy_((counts / counts.sum()).log())
        self._spent = 0.0  # share of the budget
        self._loop = Loop(
            model,
            parameter_groups(model, model.heads if base.headless else (), settings),
            lambda optimizer: LambdaLR(optimizer, lambda _: _rate(self._spent, settings)),
            settings,
            config,
            inputs,
            Path(config.output),
            console,
        )

    def run(self, resume: bool = False) -> None:
        """Train until the budget is spent, with held-out losses before, on the way and after.

        Raises:
            Interrupted: on Ctrl-C, after a checkpoint.
            ConfigError: `resume` without a checkpoint.
        """
        loop, settings = self._loop, self._config.train
        position = loop.restore() if resume else loop.begin()
        per_epoch = loop.steps_per_epoch(len(self._text.groups))
        total = min(per_epoch * settings.epochs, settings.steps or per_epoch * settings.epochs)
        done = position.epoch * per_epoch + position.step
        if done == 0:
            self._measure(0, [])
        losses: list[float] = []
        with loop.running(position, per_epoch, total):
            for epoch, step, rows in self._steps(position):
                minutes = loop.minutes / settings.max_minutes if settings.max_minutes else 0.0
                self._spent = max(done / total, minutes)
                if loop.anyone(self._spent >= 1):
                    break
                losses.append(self._step(rows, epoch, step))
                done += 1
                position = replace(position, epoch=epoch, step=step)
                if done % settings.evaluate_steps == 0 and done < total:
                    self._measure(done, losses)
                    losses = []
            loop.save(position)
        self._measure(done, losses)

    def _steps(self, position: Position) -> Iterator[tuple[int, int, list[int]]]:
        """Epoch, number and rows of every batch from `position` to the end of the last epoch."""
        seed = self._config.train.seed
        for epoch in range(position.epoch, self._config.train.epochs):
            for step, rows in self._loop.epoch(
                position, epoch, self._text.groups.shuffled(seed, epoch)
            ):
                yield epoch, step, rows
            position = replace(position, epoch=epoch + 1, step=0)
            if position.epoch < self._config.train.epochs:  # the run itself saves at its end
                self._loop.save(position)

    def _step(self, rows: Sequence[int], epoch: int, step: int) -> float:
        settings = self._config.train
        # Every pass over the text draws its own masks; a resumed run draws those it would have.
        generator = torch.Generator().manual_seed((settings.seed << 32) + (epoch << 24) + step)
        batch = self._text.batch(rows, settings.masking, generator).to(self._loop.device)
        self._loop.model.train()
        with self._loop.updating():
            loss = nn.functional.cross_entropy(self._logits(batch), batch.targets)
            self._loop.backward(finite(loss))
        return float(loss.detach())

    def _logits(self, batch: MaskedBatch) -> Tensor:
        logits: Tensor = self._loop.model(batch.input_ids, batch.attention_mask, batch.places)
        return logits.float()

    def _measure(self, step: int, train_losses: Sequence[float]) -> None:
        """Log and print the held-out loss: always of the same masked words."""
        loss, right, count = 0.0, 0, 0
        self._loop.model.eval()
        generator = torch.Generator().manual_seed(0)
        with torch.inference_mode():
            for rows in self._held.groups.in_order():
                batch = self._held.batch(rows, self._config.train.masking, generator)
                batch = batch.to(self._loop.device)
                logits = self._logits(batch)
                loss += float(nn.functional.cross_entropy(logits, batch.targets, reduction="sum"))
                right += int((logits.argmax(-1) == batch.targets).sum())
                count += len(batch.targets)
        record = {
            "step": step,
            "minutes": round(self._loop.minutes, 1),
            "train_loss": round(fmean(train_losses), 4) if train_losses else None,
            "held_out_loss": round(loss / count, 4),
            "perplexity": round(math.exp(loss / count), 2),
            "accuracy": round(right / count, 4),
        }
        self._loop.log(record)
        self._loop.console.print(
            f"step {step}: held-out loss {loss / count:.3f}, perplexity "
            f"{record['perplexity']}, {right / count:.1%} of the masked tokens right"
        )

    def write(self, folder: Path, files: Sequence[TextFile]) -> None:
        """Write the base in float16, with its head, tokenizer and a README of its origin."""
        if self._loop.accelerator.is_main_process:
            model = cast(MaskedLanguageModel, self._loop.unwrapped()).model
            with replacing(folder) as fresh:
                nn.Module.to(model, torch.float16)
                model.save_pretrained(fresh)
                self._base.tokenizer.save_pretrained(fresh)
                (fresh / "README.md").write_text(self._card(files), encoding="utf-8")
                for file in fresh.iterdir():
                    file.chmod(0o644)
        self._loop.accelerator.wait_for_everyone()

    def _card(self, files: Sequence[TextFile]) -> str:
        base, settings = self._base, self._config.train
        log = (self._loop.folder / LOG).read_text(encoding="utf-8").splitlines()
        # By step: a step that was measured again after a resumption counts once.
        records = {record["step"]: record for record in map(json.loads, log)}
        lines = [
            "# A pretrained base",
            "",
            f"Masked language modelling of whole words, continued from `{base.used}` (asked for: "
            f"`{base.requested}`{', fine-tuned' if base.weights else ''}), whose licence still "
            "binds. 16-bit floats.",
            "",
            f"- {'The head started from nothing. ' if base.headless else ''}"
            f"{self._text.tokens:,} tokens of text, {self._held.tokens:,} more held out; "
            f"{settings.masking:.0%} of the words masked.",
            f"- Commit: {commit() or 'unknown'}; "
            f"{', '.join(f'{name} {number}' for name, number in versions().items())}.",
            f"- Configuration: `{self._config.model_dump_json()}`",
            "",
            "| text | documents | sha256 |",
            "|---|---|---|",
            *(f"| {file.path} | {file.documents:,} | {file.sha256} |" for file in files),
            "",
            "| step | minutes | held-out loss | perplexity | masked tokens right |",
            "|---|---|---|---|---|",
            *(
                f"| {r['step']} | {r['minutes']} | {r['held_out_loss']:.3f} | {r['perplexity']} "
                f"| {r['accuracy']:.1%} |"
                for r in records.values()
            ),
        ]
        return "\n".join(lines) + "\n"


def _rate(spent: float, settings: PretrainTrainConfig) -> float:
    """Factor on the rates when a share of the budget is spent: up in the warm-up, then to zero."""
    if spent < settings.warmup:
        return spent / settings.warmup
    left = (1 - min(spent, 1.0)) / (1 - settings.warmup)
    return left if settings.schedule == "linear" else (1 - math.cos(math.pi * left)) / 2
