"""One encoder, one linear head per task, one per span."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from training.config import HeadConfig

NOWHERE = -1e4  # the score of padding; float16 still holds it


class SentenceClassifier(nn.Module):
    """Encoder, pooling, dropout and the heads.

    Args:
        encoder: any transformers encoder whose output has `last_hidden_state`.
        heads: the tasks, in the order of the outputs.
        spans: the spans to find, whose outputs follow.
        pooling: `mean` (masked mean of all tokens) or `cls` (first token).
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
        self.heads = nn.ModuleDict(
            {name: nn.Linear(width, len(head.labels)) for name, head in heads.items()}
        )
        self.spans = nn.ModuleDict({name: nn.Linear(width, 2) for name in spans})

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        """Token ids and mask, both (batch, length), to logits.

        Returns:
            (batch, labels) per head; (batch, length, 2) per span, the scores of each token being
            the span's first and its last, the first position standing for «no span».
        """
        output = self.encoder(input_ids=input_ids, attention_mask=attention_mask)
        states = output.last_hidden_state
        if self.pooling == "cls":
            pooled = states[:, 0]
        else:
            mask = attention_mask.unsqueeze(-1).to(states.dtype)
            pooled = (states * mask).sum(1) / mask.sum(1)
        pooled = self.dropout(pooled)
        outputs = {name: head(pooled) for name, head in self.heads.items()}
        padding = attention_mask.unsqueeze(-1) == 0
        for name, span in self.spans.items():
            outputs[name] = span(self.dropout(states)).masked_fill(padding, NOWHERE)
        return outputs


def supports_bf16(device: torch.device) -> bool:
    """Whether the device computes in bfloat16 (emulating it would be slower than float32)."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return device.type == "cpu" and bool(probe())
