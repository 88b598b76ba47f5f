"""One encoder, one linear head per task, one per span."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from stance.spans import OUTSIDE, TAGS
from training.config import HeadConfig, OptimizerConfig

# A layer's number in a parameter's name: of BERT and most others, and of ALBERT's shared layers.
_LAYER = re.compile(r"\.(?:layers?|albert_layer_groups)\.(\d+)\.")
NOWHERE = -1e4  # the score of what cannot be in a span; float16 still holds it
NEW = ("heads.", "spans.", "queries.")  # how the names of parameters begin that start from nothing


class SentenceClassifier(nn.Module):
    """Encoder, pooling, dropout and the heads.

    Args:
        encoder: any transformers encoder whose output has `last_hidden_state`.
        heads: the tasks, in the order of the outputs.
        spans: the spans to find, whose outputs follow.
        pooling: what a head sees of the sentence: `mean` (of all tokens), `cls` (the first token)
            or `attention` (a mean that each head weighs for itself).
        dropout: probability, before the heads.
    """

    def __init__(
        self,
        encoder: PreTrainedModel,
        heads: Mapping[str, HeadConfig],
        spans: Sequence[str],
        pooling: str,
        dropout: float,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.pooling = pooling
        self.dropout = nn.Dropout(dropout)
        width = encoder.config.hidden_size
        # Lists, because a dictionary of modules refuses names such as `type` or `a.b`.
        self.head_names, self.span_names = tuple(heads), tuple(spans)
        self.heads = nn.ModuleList(nn.Linear(width, len(head.labels)) for head in heads.values())
        self.spans = nn.ModuleList(nn.Linear(width, len(TAGS)) for _ in spans)
        if pooling == "attention":
            self.queries = nn.Linear(width, len(heads), bias=False)
            nn.init.zeros_(self.queries.weight)  # it begins as the plain mean

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        """Token ids and mask, both (batch, length), to logits.

        Returns:
            (batch, labels) per head; (batch, length, 3) per span, the scores of each token's tag:
            outside, first, inside. Padding is outside.
        """
        output = self.encoder(input_ids=input_ids, attention_mask=attention_mask)
        states = output.last_hidden_state
        pooled = self._pooled(states, attention_mask)
        heads = zip(self.head_names, self.heads, pooled, strict=True)
        outputs = {name: head(sentence) for name, head, sentence in heads}
        tags = torch.arange(len(TAGS), device=states.device)
        impossible = (attention_mask.unsqueeze(-1) == 0) & (tags != OUTSIDE)
        for name, span in zip(self.span_names, self.spans, strict=True):
            outputs[name] = span(self.dropout(states)).masked_fill(impossible, NOWHERE)
        return outputs

    def _pooled(self, states: Tensor, attention_mask: Tensor) -> Sequence[Tensor]:
        """What each head sees of the sentences, (batch, width), after dropout.

        Attention by one learned query per head: Lin et al. 2017, "A Structured Self-Attentive
        Sentence Embedding", without the hidden layer.
        """
        mask = attention_mask.unsqueeze(-1)
        if self.pooling == "attention":
            scores = self.queries(states).float().masked_fill(mask == 0, NOWHERE)
            weights = scores.softmax(1).to(states.dtype)
            pooled: Tensor = self.dropout(weights.transpose(1, 2) @ states)
            return pooled.unbind(1)
        if self.pooling == "cls":
            sentence = states[:, 0]
        else:
            kept = mask.to(states.dtype)
            sentence = (states * kept).sum(1) / kept.sum(1)
        return [self.dropout(sentence)] * len(self.heads)


def parameter_groups(
    model: nn.Module, heads: tuple[str, ...], settings: OptimizerConfig
) -> list[dict[str, object]]:
    """Groups by rate and decay: heads apart, layer-wise decay, none on biases and norms.

    Layers that share their weights (ALBERT) are one layer here.

    Args:
        model: an encoder with heads.
        heads: beginnings of the names of the parameters that start from nothing.
        settings: rates and decays.
    """
    depths = {name: _LAYER.search(name) for name, _ in model.named_parameters()}
    top = 1 + max(int(found.group(1)) for found in depths.values() if found)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if name.startswith(heads):
            rate = settings.head_learning_rate
        else:
            found = depths[name]
            depth = int(found.group(1)) + 1 if found else 0  # embeddings lie below layer 0
            rate = settings.learning_rate * settings.layer_decay ** (top - depth)
        decay = 0.0 if parameter.ndim < 2 else settings.weight_decay
        groups.setdefault((rate, decay), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]
