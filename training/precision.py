"""Which precision to train in: bfloat16 where the processor computes in it, and gains by it."""

from __future__ import annotations

from pathlib import Path

import torch

from stance.errors import ConfigError
from training.config import OptimizerConfig


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
    """Whether training is faster in bfloat16 on a device that computes in it.

    On an AMD processor of the Zen 5 generation a step took half of float32's time, on an Intel
    Xeon that has AVX512-BF16 but no AMX 1.5 times as long. A rule and not a trial, because a
    trial's outcome would change with what else the machine does, and the model with it.
    """
    if device.type != "cpu":
        return True
    amx = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    cpuinfo = Path("/proc/cpuinfo")
    return bool(amx()) or (cpuinfo.is_file() and "GenuineIntel" not in cpuinfo.read_text("utf-8"))
