"""A smaller encoder that learns from a larger bundle: fewer layers, and the teacher's answers.

The teacher is a bundle, not weights: whatever was trained, here or elsewhere, can be imitated, and
its answers are computed once, on the int8 graph, before training begins. The student keeps evenly
spaced layers of its base (Sanh et al. 2019, "DistilBERT"; Sun et al. 2019, "Patient Knowledge
Distillation", who call it PKD-skip).
"""

from __future__ import annotations

import torch
from rich.console import Console
from torch import Tensor, nn
from transformers import PreTrainedModel

from stance.errors import ConfigError
from stance.predictor import Predictor
from training.config import Config
from training.corpus import Dataset


def keep_layers(encoder: PreTrainedModel, layers: int | None) -> None:
    """Drop all but `layers` of the encoder's layers, keeping the last and evenly spaced others.

    Raises:
        ConfigError: the encoder has fewer layers, or shares one among all (ALBERT).
    """
    if layers is None:
        return
    stack = dict(encoder.named_children()).get("encoder")
    every = getattr(stack, "layer", None)
    if stack is None or not isinstance(every, nn.ModuleList):
        raise ConfigError("distill.layers: this base has no list of layers to choose from")
    if layers > len(every):
        raise ConfigError(f"distill.layers is {layers}, but the base has only {len(every)} layers")
    kept = [len(every) * (place + 1) // layers - 1 for place in range(layers)]
    stack.layer = nn.ModuleList(every[place] for place in kept)
    encoder.config.num_hidden_layers = layers


def teacher_logits(config: Config, data: Dataset, console: Console) -> dict[str, Tensor]:
    """The teacher's scores of every training row, (rows, labels) per head, calibrated.

    Raises:
        BundleError: the teacher is not there, or damaged.
        ConfigError: its heads are not the configuration's.
    """
    assert config.distill is not None
    teacher = Predictor(config.distill.teacher)
    known = {head.name: head for head in teacher.bundle.heads}
    for name, head in config.heads.items():
        if name not in known or known[name].labels != head.labels:
            raise ConfigError(
                f"distill.teacher {config.distill.teacher} has no head {name!r} with the labels "
                f"{', '.join(head.labels)}"
            )
    texts = [example.text for example in data.examples]
    console.print(f"asking {config.distill.teacher} about {len(texts):,} rows")
    logits = teacher.logits(texts)
    return {name: torch.from_numpy(known[name].calibrated(logits[name])) for name in config.heads}
