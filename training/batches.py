"""Token ids in batches of similar length, in an order that only seed and epoch decide."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from training.config import HeadConfig
from training.corpus import Example

MISSING = -100  # the class index that torch's cross entropy passes over
# Batches are cut from a shuffled window sorted by length: little padding, enough chance.
_WINDOW_BATCHES = 50


@dataclass(frozen=True, slots=True)
class Batch:
    """`input_ids` and `attention_mask` are (batch, length).

    `targets` are (batch,) per head and (batch, 2), first and last token, per span. `teacher` holds
    another model's logits, (batch, labels) per head, where there is one to imitate.
    """

    input_ids: Tensor
    attention_mask: Tensor
    targets: dict[str, Tensor]
    teacher: dict[str, Tensor] = field(default_factory=dict)

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        ids, mask = self.input_ids.to(device), self.attention_mask.to(device)
        return self._with(ids, mask, lambda rows: rows.to(device))

    def twice(self) -> Batch:
        """All rows, and then all of them once more."""
        ids, mask = self.input_ids.repeat(2, 1), self.attention_mask.repeat(2, 1)
        return self._with(ids, mask, lambda rows: torch.cat([rows, rows]))

    def _with(self, ids: Tensor, mask: Tensor, change: Callable[[Tensor], Tensor]) -> Batch:
        targets = {name: change(rows) for name, rows in self.targets.items()}
        return Batch(
            ids, mask, targets, {name: change(rows) for name, rows in self.teacher.items()}
        )


class LengthGroups:
    """The rows of batches of similar length, in an order that only seed and epoch decide.

    Args:
        lengths: of every row, in tokens.
        batch_size: rows per batch.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int) -> None:
        self._lengths = lengths
        self._size = batch_size

    def __len__(self) -> int:
        return -(-len(self._lengths) // self._size)

    def in_order(self) -> list[list[int]]:
        """Batches sorted by length: for evaluation."""
        return self._cut(list(range(len(self._lengths))))

    def shuffled(self, seed: int, epoch: int) -> list[list[int]]:
        """An epoch's batches; the same seed and epoch give the same order."""
        generator = torch.Generator().manual_seed(seed * 1_000 + epoch)
        order = torch.randperm(len(self._lengths), generator=generator).tolist()
        window = self._size * _WINDOW_BATCHES
        cut = []
        for start in range(0, len(order), window):
            cut += self._cut(order[start : start + window])
        shuffle = torch.randperm(len(cut), generator=generator).tolist()
        return [cut[index] for index in shuffle]

    def _cut(self, rows: list[int]) -> list[list[int]]:
        rows = sorted(rows, key=self._lengths.__getitem__)
        return [rows[start : start + self._size] for start in range(0, len(rows), self._size)]


def padded(rows: Sequence[Tensor], pad: int) -> tuple[Tensor, Tensor]:
    """Token ids of different lengths as one tensor and its attention mask, (batch, length)."""
    ids = torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_value=pad)
    lengths = torch.tensor([len(row) for row in rows])
    return ids, (torch.arange(ids.shape[1]) < lengths.unsqueeze(1)).long()


class Batches:
    """Tokenised examples, served as batches; `groups` says which rows go together."""

    def __init__(
        self,
        examples: Sequence[Example],
        heads: Mapping[str, HeadConfig],
        spans: Sequence[str],
        tokenizer: PreTrainedTokenizerFast,
        max_length: int,
        batch_size: int,
    ) -> None:
        encoded = tokenizer(
            [example.text for example in examples],
            truncation=True,
            max_length=max_length,
            return_offsets_mapping=True,
        )
        self._ids: list[list[int]] = encoded["input_ids"]
        self._pad = int(tokenizer.pad_token_id or 0)
        self.groups = LengthGroups([len(ids) for ids in self._ids], batch_size)
        self._teacher: dict[str, Tensor] = {}
        self._targets = {
            name: torch.tensor(
                [
                    head.labels.index(example.labels[name]) if name in example.labels else MISSING
                    for example in examples
                ]
            )
            for name, head in heads.items()
        }
        for name in spans:
            self._targets[name] = torch.tensor(
                [
                    _tokens_of(example.spans.get(name), offsets)
                    if name in example.spans
                    else (MISSING, MISSING)
                    for example, offsets in zip(examples, encoded["offset_mapping"], strict=True)
                ]
            )

    def batch(self, rows: Sequence[int]) -> Batch:
        """Pad the rows' ids to the longest of them."""
        ids, mask = padded([torch.tensor(self._ids[row]) for row in rows], self._pad)
        targets = {name: target[list(rows)] for name, target in self._targets.items()}
        teacher = {name: logits[list(rows)] for name, logits in self._teacher.items()}
        return Batch(ids, mask, targets, teacher)

    def imitate(self, teacher: Mapping[str, Tensor]) -> None:
        """Serve a teacher's logits, (rows, labels) per head, with the rows they belong to."""
        self._teacher = dict(teacher)

    def targets(self, name: str) -> Tensor:
        """A head's class indices, (rows,), or a span's first and last token, (rows, 2).

        `MISSING` where a row says nothing of it.
        """
        return self._targets[name]

    def class_shares(self, head: str, labels: int) -> Tensor:
        """The share of each class among the rows that have the head's label."""
        target = self._targets[head]
        counts = torch.bincount(target[target != MISSING], minlength=labels).float()
        return counts / counts.sum()


def _tokens_of(span: tuple[int, int] | None, offsets: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """First and last token that share a character with the span.

    Position 0 stands for «no span»; a span in the part that was cut off says nothing.
    """
    if span is None:
        return 0, 0
    inside = [
        token
        for token, (start, end) in enumerate(offsets)
        if start < span[1] and end > span[0] and end > start
    ]
    if not inside or offsets[inside[-1]][1] < span[1]:
        return MISSING, MISSING
    return inside[0], inside[-1]
