"""Which precision to train in: bfloat16 where the processor computes in it, and gains by it."""

from __future__ import annotations

import time

import torch
from torch import nn

from stance.errors import ConfigError
from training.config import OptimizerConfig

# Processors of one instruction set differ: bfloat16 took half of float32's time on one with
# AVX512-BF16 and 1.5 times as long on another. Under this gain, float32 is the better choice.
_WORTHWHILE = 1.15
_ROUNDS = 3


def mixed_precision(settings: OptimizerConfig) -> str:
    """What accelerate is to be told: `bf16` or `no`.

    Raises:
        ConfigError: bfloat16 is asked for where it would be emulated.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if settings.precision == "fp32":
        return "no"
    supported = supports_bf16(device)
    if settings.precision == "bf16" and not supported:
        raise ConfigError("train.precision is bf16, in which this processor cannot compute; auto")
    wanted = settings.precision == "bf16" or (supported and gains_by_bf16(device))
    return "bf16" if wanted else "no"


def supports_bf16(device: torch.device) -> bool:
    """Whether the device computes in bfloat16, rather than emulating it."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return device.type == "cpu" and bool(probe())


def gains_by_bf16(device: torch.device) -> bool:
    """Whether a layer's training step is clearly faster in bfloat16; GPUs need no trial."""
    if device.type != "cpu":
        return True
    layer = nn.Linear(384, 1536)
    tokens = torch.randn(512, 384, requires_grad=True)

    def step(enabled: bool) -> float:
        begin = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            output = layer(tokens)
        output.float().sum().backward()  # type: ignore[no-untyped-call]
        return time.perf_counter() - begin

    for enabled in (True, False):
        step(enabled)  # the first one also sets up
    bf16, fp32 = (min(step(enabled) for _ in range(_ROUNDS)) for enabled in (True, False))
    return fp32 > _WORTHWHILE * bf16
