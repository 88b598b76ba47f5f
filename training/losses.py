"""What a batch costs: the loss of heads and spans, and two regularisers for small training sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from stance.spans import BEGIN, INSIDE, OUTSIDE
from training.batches import MISSING
from training.config import Config, HeadConfig, SpanConfig, TrainConfig
from training.model import NOWHERE


class BatchLoss:
    """The weighted sum of the losses of all heads and spans.

    Args:
        config: heads, spans, and `train`: loss, smoothing, class weights, R-Drop.
        shares: per head, each class's share of the training rows.
        device: where the logits are.
    """

    def __init__(self, config: Config, shares: Mapping[str, Tensor], device: torch.device) -> None:
        self._config = config
        self._weights = {
            name: _class_weights(share, config.train).to(device) for name, share in shares.items()
        }

    def __call__(
        self,
        logits: Mapping[str, Tensor],
        targets: Mapping[str, Tensor],
        teacher: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """Logits, targets and teacher, as the model and a `Batch` name and shape them, to a number.

        Where R-Drop is on, the second half of the rows has to be the first once more.
        """
        rdrop, distill = self._config.train.rdrop, self._config.distill
        parts = []
        tasks: dict[str, HeadConfig | SpanConfig] = {**self._config.heads, **self._config.spans}
        for name, task in tasks.items():
            scores, target = logits[name].float(), targets[name]
            if name in self._config.spans:
                scores, target = _answers(scores, target)
            share = 1.0
            if distill and teacher and name in teacher:
                distance = imitation(scores, teacher[name], distill.temperature)
                parts.append(task.weight * distill.weight * distance)
                share -= distill.weight
            if (target != MISSING).any():
                parts.append(task.weight * share * self._supervised(name, scores, target))
            if rdrop:
                parts.append(task.weight * rdrop * disagreement(scores))
        return torch.stack(parts).sum()

    def _supervised(self, name: str, logits: Tensor, target: Tensor) -> Tensor:
        if name in self._config.spans:
            return functional.cross_entropy(logits, target, ignore_index=MISSING)
        settings, weight = self._config.train, self._weights[name]
        known = target != MISSING
        logits, target = logits[known], target[known]
        losses = functional.cross_entropy(
            logits,
            target,
            weight=weight,
            label_smoothing=settings.label_smoothing,
            reduction="none",
        )
        if settings.loss == "focal":  # Lin et al. 2017, "Focal Loss for Dense Object Detection"
            right = logits.softmax(-1).gather(1, target.unsqueeze(1)).squeeze(1)
            losses = losses * (1 - right) ** settings.focal_gamma
        return losses.sum() / weight[target].sum()


def _answers(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """A span as one choice: scores of every answer with at most one span, and the annotated one.

    What `stance.spans` decodes by: a semi-Markov conditional random field (Sarawagi and Cohen 2004)
    of one segment. The likelihood of each token's tag instead, summed, drowns the heads.

    Args:
        logits: (batch, length, 3), the tags' scores.
        target: (batch, 2), first and last token.

    Returns:
        (batch, length * length), the scores by first token and last; (batch,), their indices.
    """
    length = logits.shape[1]
    added = logits - logits[..., [OUTSIDE]]
    inside = added[..., INSIDE].cumsum(1)
    pairs = (added[..., BEGIN] - inside).unsqueeze(2) + inside.unsqueeze(1)
    possible = torch.ones(length, length, dtype=torch.bool, device=logits.device).triu()
    possible[0] = False  # the first token is a special one
    pairs = pairs.masked_fill(~possible, NOWHERE)
    pairs[:, 0, 0] = 0.0  # no span
    first, last = target.unbind(1)
    return pairs.flatten(1), torch.where(first == MISSING, MISSING, first * length + last)


def _class_weights(shares: Tensor, settings: TrainConfig) -> Tensor:
    """Weights with mean 1 over the rows, so that the loss keeps its scale."""
    present = shares.clamp_min(1e-6)
    power = {"none": 0.0, "sqrt": 0.5, "balanced": 1.0}[settings.class_weights]
    weights = present.pow(-power)
    weights = weights / (weights * shares).sum()
    # A class that the training data lacks has nothing to weigh.
    return torch.where(shares > 0, weights, torch.ones_like(weights))


def disagreement(logits: Tensor) -> Tensor:
    """Mean of both Kullback-Leibler divergences between the halves of a batch.

    R-Drop: Liang et al. 2021, "R-Drop: Regularized Dropout for Neural Networks". The logits are
    (batch, choices).
    """
    one, other = functional.log_softmax(logits, dim=-1).chunk(2)
    return ((one.exp() - other.exp()) * (one - other)).sum(1).mean() / 2


def imitation(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Divergence of the softened probabilities from the teacher's, (batch, labels) both.

    Hinton et al. 2015, "Distilling the Knowledge in a Neural Network"; the squared temperature
    keeps the gradient's size whatever the softening.
    """
    log_probabilities = functional.log_softmax(logits / temperature, dim=-1)
    wanted = functional.softmax(teacher / temperature, dim=-1)
    return temperature**2 * functional.kl_div(log_probabilities, wanted, reduction="batchmean")


@contextmanager
def watched(embeddings: nn.Module) -> Iterator[list[Tensor]]:
    """Keep the word embeddings that the block computes, and later their gradients."""
    seen: list[Tensor] = []

    def keep(module: nn.Module, inputs: Any, output: Tensor) -> None:
        output.retain_grad()
        seen.append(output)

    handle = embeddings.register_forward_hook(keep)
    try:
        yield seen
    finally:
        handle.remove()


@contextmanager
def attacked(embeddings: nn.Module, gradient: Tensor, length: float) -> Iterator[None]:
    """Move each sentence's word embeddings by `length` in the direction that raises its loss most.

    The fast gradient method of Miyato et al. 2017, "Adversarial Training Methods for
    Semi-Supervised Text Classification", equation 5. `gradient` is (batch, length, width).
    """
    norm = gradient.flatten(1).norm(dim=1).clamp_min(1e-12)
    step = length * gradient / norm[:, None, None]
    handle = embeddings.register_forward_hook(lambda module, inputs, output: output + step)
    try:
        yield
    finally:
        handle.remove()
