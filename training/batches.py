"""Token ids in batches of similar length, in an order that only seed and epoch decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
    """`input_ids` and `attention_mask` are (batch, length); `targets` are (batch,) per head."""

    input_ids: Tensor
    attention_mask: Tensor
    targets: dict[str, Tensor]

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        targets = {name: target.to(device) for name, target in self.targets.items()}
        return Batch(self.input_ids.to(device), self.attention_mask.to(device), targets)


class Batches:
    """Tokenised examples, served as batches."""

    def __init__(
        self,
        examples: Sequence[Example],
        heads: Mapping[str, HeadConfig],
        tokenizer: PreTrainedTokenizerFast,
        max_length: int,
        batch_size: int,
    ) -> None:
        encoded = tokenizer(
            [example.text for example in examples], truncation=True, max_length=max_length
        )
        self._ids: list[list[int]] = encoded["input_ids"]
        self._pad = int(tokenizer.pad_token_id or 0)
        self._batch_size = batch_size
        self._targets = {
            name: torch.tensor(
                [
                    head.labels.index(example.labels[name]) if name in example.labels else MISSING
                    for example in examples
                ]
            )
            for name, head in heads.items()
        }

    def __len__(self) -> int:
        return -(-len(self._ids) // self._batch_size)

    def in_order(self) -> list[list[int]]:
        """Row numbers of batches sorted by length: for evaluation."""
        rows = sorted(range(len(self._ids)), key=lambda row: len(self._ids[row]))
        return self._cut(rows)

    def shuffled(self, seed: int, epoch: int) -> list[list[int]]:
        """Row numbers of an epoch's batches; the same seed and epoch give the same order."""
        generator = torch.Generator().manual_seed(seed * 1_000 + epoch)
        order = torch.randperm(len(self._ids), generator=generator).tolist()
        window = self._batch_size * _WINDOW_BATCHES
        cut = []
        for start in range(0, len(order), window):
            rows = sorted(order[start : start + window], key=lambda row: len(self._ids[row]))
            cut += self._cut(rows)
        shuffle = torch.randperm(len(cut), generator=generator).tolist()
        return [cut[index] for index in shuffle]

    def batch(self, rows: Sequence[int]) -> Batch:
        """Pad the rows' ids to the longest of them."""
        ids = [torch.tensor(self._ids[row]) for row in rows]
        padded = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=self._pad)
        lengths = torch.tensor([len(one) for one in ids])
        mask = (torch.arange(padded.shape[1]) < lengths.unsqueeze(1)).long()
        targets = {name: target[list(rows)] for name, target in self._targets.items()}
        return Batch(padded, mask, targets)

    def targets(self, head: str) -> list[int]:
        """Class indices of all rows, `MISSING` where a row has no label for the head."""
        return list(self._targets[head].tolist())

    def class_shares(self, head: str, labels: int) -> Tensor:
        """The share of each class among the rows that have the head's label."""
        target = self._targets[head]
        counts = torch.bincount(target[target != MISSING], minlength=labels).float()
        return counts / counts.sum()

    def _cut(self, rows: list[int]) -> list[list[int]]:
        size = self._batch_size
        return [rows[start : start + size] for start in range(0, len(rows), size)]
