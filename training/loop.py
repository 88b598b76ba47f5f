"""What every long run shares: steps, checkpoints, Ctrl-C, progress, several processes.

A run may be started by `accelerate launch` on several devices: each process then takes every n-th
batch, all agree on when to stop, and the main one alone writes and speaks.
"""

from __future__ import annotations

import json
import logging
import math
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path
from types import FrameType

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, PartialState
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from stance.errors import ConfigError, Interrupted, StanceError
from training.config import OptimizerConfig
from training.precision import mixed_precision
from training.schema import Section

CHECKPOINT = "checkpoint"
_OLD = f"{CHECKPOINT}.old"  # the one before, while the new one takes its place
LOG = "log.jsonl"
BEST = "best.safetensors"  # the weights of the best epoch
SEEDS = "seeds.json"  # of a folder of several runs


@dataclass(frozen=True, slots=True)
class Position:
    """Where a run stands: `step` batches of `epoch` are done, in `minutes` of work so far."""

    epoch: int = 0
    step: int = 0
    best_score: float = -1.0
    best_epoch: int = -1
    minutes: float = 0.0


def run_console() -> Console:
    """Where a run speaks: stderr, and only of the main process."""
    # While one process exports and fits baselines the others wait, and NCCL would for 10 minutes.
    state = PartialState(timeout=timedelta(hours=12))
    return Console(stderr=True, soft_wrap=True, quiet=not state.is_main_process)


class Loop:
    """The moving parts of a run: accelerator, wrapped model, optimizer, schedule, checkpoints.

    Args:
        model: what is trained.
        groups: its parameters, with their rates and decays, as AdamW takes them.
        schedule: makes the schedule of the optimizer's rates.
        settings: batch, precision, clipping and checkpoints.
        config: the whole configuration; a checkpoint is resumed only under the same one.
        inputs: what was read, by name (files' sha256, the base that was found); likewise.
        folder: the run's folder: `checkpoint/` and `log.jsonl` are kept there.
        console: where progress goes (stderr).
    """

    def __init__(
        self,
        model: nn.Module,
        groups: list[dict[str, object]],
        schedule: Callable[[Optimizer], LRScheduler],
        settings: OptimizerConfig,
        config: Section,
        inputs: Mapping[str, str],
        folder: Path,
        console: Console,
    ) -> None:
        # At every checkpoint it would report that tied weights are written once.
        logging.getLogger("accelerate.utils.other").setLevel(logging.ERROR)
        self.accelerator = Accelerator(
            mixed_precision=mixed_precision(settings),
            gradient_accumulation_steps=settings.gradient_accumulation,
            # A batch may lack every label of a head, whose weights then get no gradient.
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
        )
        optimizer = AdamW(groups, fused=True)
        self.model, self._optimizer, self._scheduler = self.accelerator.prepare(
            model, optimizer, schedule(optimizer)
        )
        self._settings = settings
        self._config = config.model_dump(mode="json")
        self._inputs = dict(inputs)
        self.folder = folder
        self.console = console
        self._stop = _Stop()
        self._update = True
        self._advance: Callable[[int], None] = lambda epoch: None
        self._started = self._saved = time.monotonic()

    @property
    def device(self) -> torch.device:
        """Where batches have to be."""
        device: torch.device = self.accelerator.device
        return device

    @property
    def minutes(self) -> float:
        """Minutes of work on this run, those before an interruption included."""
        return (time.monotonic() - self._started) / 60

    def steps_per_epoch(self, batches: int) -> int:
        """How many of an epoch's `batches` each process takes."""
        processes: int = self.accelerator.num_processes
        return math.ceil(batches / processes)

    def begin(self, *stale: str) -> Position:
        """Empty the run folder of an earlier run's log, checkpoint and `stale` files."""
        if self.accelerator.is_main_process:
            self.folder.mkdir(parents=True, exist_ok=True)
            for name in (LOG, *stale):
                (self.folder / name).unlink(missing_ok=True)
            for name in (CHECKPOINT, _OLD):
                shutil.rmtree(self.folder / name, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        self._started = self._saved = time.monotonic()
        return Position()

    def restore(self) -> Position:
        """Load the checkpoint, weights, optimizer and random states included.

        Raises:
            ConfigError: there is none, or it was made with another configuration, other data or
                another version of the model.
        """
        if not begun(self.folder):
            raise ConfigError(f"{self.folder}: no checkpoint to resume from; run without --resume")
        folder = self.folder / CHECKPOINT
        if self.accelerator.is_main_process and not folder.is_dir():
            (self.folder / _OLD).rename(folder)
        self.accelerator.wait_for_everyone()
        content = json.loads((folder / "position.json").read_text(encoding="utf-8"))
        if content["config"] != self._config:
            raise ConfigError(f"{folder} was made with another configuration; resume with that one")
        if (before := content.get("inputs", {})) != self._inputs:
            now = self._inputs
            changed = sorted(k for k in {**before, **now} if before.get(k) != now.get(k))
            raise ConfigError(
                f"{folder} was made with other data than is there now ({', '.join(changed)}); "
                "put it back, or run without --resume"
            )
        try:
            self.accelerator.load_state(str(folder))
        except RuntimeError as error:  # torch's, on weights of another shape
            reason = str(error).splitlines()[0]
            raise ConfigError(
                f"{folder} is of another version of the model ({reason}); run without --resume"
            ) from None
        position = Position(**content["position"])
        self._saved = time.monotonic()
        self._started = self._saved - 60 * position.minutes
        return position

    def save(self, position: Position) -> None:
        """Write a checkpoint beside the old one, then take its place: a crash leaves one whole."""
        position = replace(position, minutes=self.minutes)
        folder, fresh, old = (self.folder / n for n in (CHECKPOINT, f"{CHECKPOINT}.new", _OLD))
        main = self.accelerator.is_main_process
        if main:
            shutil.rmtree(fresh, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        self.accelerator.save_state(str(fresh))
        self.accelerator.wait_for_everyone()
        if main:
            content = {"position": asdict(position), "config": self._config, "inputs": self._inputs}
            (fresh / "position.json").write_text(json.dumps(content), encoding="utf-8")
            if folder.is_dir():
                shutil.rmtree(old, ignore_errors=True)
                folder.rename(old)
            fresh.rename(folder)
            shutil.rmtree(old, ignore_errors=True)
        self._saved = time.monotonic()

    def log(self, record: Mapping[str, object]) -> None:
        """Append a line to the run's log."""
        if self.accelerator.is_main_process:
            with (self.folder / LOG).open("a", encoding="utf-8") as log:
                log.write(json.dumps(record) + "\n")

    @contextmanager
    def running(self, position: Position, steps: int, total: int) -> Iterator[None]:
        """Show progress over `total` steps, `steps` an epoch, and hold Ctrl-C until a step ends.

        Raises:
            Interrupted: on Ctrl-C or SIGTERM in the block that no step was left to answer.
        """
        columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        console = self.console
        with (
            _stop_requested(self._stop),
            Progress(
                TextColumn("epoch {task.fields[epoch]}"),
                *columns,
                console=console,
                disable=not console.is_terminal,
            ) as bar,
        ):
            done = position.epoch * steps + position.step
            task = bar.add_task("run", total=total, completed=done, epoch=position.epoch + 1)
            self._advance = lambda epoch: bar.update(task, advance=1, epoch=epoch + 1)
            yield
            # Asked for during the last measurement, when no batch is left to end with it.
            if self.anyone(bool(self._stop)):
                raise Interrupted("stopped after the last epoch; run again with --resume to go on")

    def epoch(
        self, position: Position, epoch: int, batches: Sequence[list[int]]
    ) -> Iterator[tuple[int, list[int]]]:
        """Yield number and rows of this process's batches of an epoch, from `position` on.

        Between two batches it checkpoints when that is due.

        Raises:
            Interrupted: on Ctrl-C or SIGTERM, after a checkpoint.
        """
        every, mine = self.accelerator.num_processes, self.accelerator.process_index
        # Every process must take the same number of steps: the last ones share the first batches.
        batches = [*batches, *batches[: -len(batches) % every]][mine::every]
        for step, rows in enumerate(batches[position.step :], position.step + 1):
            # An epoch ends with an update, however few batches have been gathered for it.
            self._update = step % self._settings.gradient_accumulation == 0 or step == len(batches)
            yield step, rows
            self._advance(epoch)
            if not self._update:
                continue  # a checkpoint keeps no gradients
            stop = self.anyone(bool(self._stop))
            due = time.monotonic() - self._saved > 60 * self._settings.checkpoint_minutes
            if stop or self.anyone(due):
                self.save(replace(position, epoch=epoch, step=step))
            if stop:
                raise Interrupted(f"stopped in epoch {epoch + 1}; run again with --resume to go on")

    @contextmanager
    def updating(self) -> Iterator[None]:
        """Around the backward passes of a batch: then clip and, when due, update the weights."""
        if not self._update:
            with self.accelerator.no_sync(self.model):
                yield
            return
        yield
        self.accelerator.clip_grad_norm_(self.model.parameters(), self._settings.max_grad_norm)
        self._optimizer.step()
        self._scheduler.step()
        self._optimizer.zero_grad()

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss."""
        self.accelerator.backward(loss)

    def unwrapped(self) -> nn.Module:
        """The model without accelerate's wrapper, whose autocast would be traced into a graph."""
        model: nn.Module = self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=False)
        return model

    def anyone(self, flag: bool) -> bool:
        """Whether any process says so: steps and checkpoints have to be taken together."""
        if self.accelerator.num_processes == 1:
            return flag
        return bool(self.accelerator.reduce(torch.tensor(float(flag), device=self.device)) > 0)


def begun(folder: Path) -> bool:
    """Whether a run folder has a checkpoint to go on from."""
    return any((folder / name).is_dir() for name in (CHECKPOINT, _OLD))


class DivergedError(StanceError):
    """The loss has become infinite or no number."""


def finite(loss: Tensor) -> Tensor:
    """The loss, if it still is a number: otherwise every weight would cease to be one.

    Raises:
        DivergedError: it is infinite or not a number.
    """
    if not torch.isfinite(loss):
        raise DivergedError(
            f"the loss is {float(loss.detach())}: training has diverged; lower "
            "train.learning_rate or train.head_learning_rate and start again"
        )
    return loss


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
def _stop_requested(stop: _Stop) -> Iterator[None]:
    before = {one: signal.signal(one, stop) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
