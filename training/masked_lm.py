"""A masked language model that scores only what is masked."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from stance.errors import ConfigError


class MaskedLanguageModel(nn.Module):
    """An encoder with its head, which scores only the masked tokens.

    Scoring all of them would take most of the time and memory: the vocabulary is large.

    Args:
        model: transformers' masked language model.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    @property
    def heads(self) -> tuple[str, ...]:
        """Beginnings of the names of the head's parameters."""
        return tuple(f"model.{name}." for name in self._head_names())

    def _head_names(self) -> list[str]:
        names = [name for name, _ in self.model.named_children()]
        return [name for name in names if name != self.model.base_model_prefix]

    def forward(self, input_ids: Tensor, attention_mask: Tensor, places: Tensor) -> Tensor:
        """Ids and mask (batch, length), and places (masked, 2), to logits (masked, vocabulary)."""
        output = self.model.base_model(input_ids=input_ids, attention_mask=attention_mask)
        states = output.last_hidden_state[places[:, 0], places[:, 1]]
        for name in self._head_names():
            states = self.model.get_submodule(name)(states)
        logits: Tensor = states
        return logits

    def check(self) -> None:
        """Make sure that the parts do what the whole does.

        Raises:
            ConfigError: the architecture computes its head in some other way.
        """
        ids = torch.arange(4, 8).unsqueeze(0)
        mask, places = torch.ones_like(ids), torch.tensor([[0, 1], [0, 2]])
        training = self.training
        self.eval()
        with torch.inference_mode():
            whole = self.model(input_ids=ids, attention_mask=mask).logits[0, 1:3]
            try:
                same = torch.allclose(self(ids, mask, places), whole, atol=1e-4)
            except (RuntimeError, TypeError):
                same = False
        self.train(training)
        if not same:
            kind = self.model.config.model_type
            raise ConfigError(f"pretraining does not know the head of {kind!r} models; use a BERT")
