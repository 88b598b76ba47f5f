"""Whether this processor's fast kernels for 8-bit products can be trusted."""

from __future__ import annotations

import base64
from functools import cache

import numpy as np
import onnxruntime as ort

# A graph of one node, `MatMulInteger(a, b) -> c` of uint8 (8, 64) and int8 (64, 16), opset 17.
_PRODUCT = base64.b64decode(
    "CAg6XAoYCgFhCgFiEgFjIg1NYXRNdWxJbnRlZ2VyEgFwWhMKAWESDgoMCAISCAoCCAgKAghAWhMKAWIS"
    "DgoMCAMSCAoCCEAKAggQYhMKAWMSDgoMCAYSCAoCCAgKAggQQgQKABAR"
)
_LEFT, _RIGHT = (8, 64), (64, 16)  # several rows, as a sentence has tokens


def session_options() -> ort.SessionOptions:
    """One thread inside of a session, and the kernels that do not overflow."""
    options = _quiet()
    if products_overflow():
        # Unsigned weights, for which the kernels are exact.
        options.add_session_config_entry("session.x64quantprecision", "1")
    return options


@cache
def products_overflow() -> bool:
    """Whether products of uint8 and int8 come out wrong here.

    On x86 processors without VNNI the runtime's kernels add pairs of products in 16 bits, which
    overflow: labels change. It has kernels that are exact everywhere, but slower where VNNI is
    present, and does not choose by itself; so the largest product is asked for once.
    """
    session = ort.InferenceSession(_PRODUCT, _quiet(), providers=["CPUExecutionProvider"])
    largest = {"a": np.full(_LEFT, 255, np.uint8), "b": np.full(_RIGHT, 127, np.int8)}
    (product,) = session.run(None, largest)
    return bool((product != _LEFT[1] * 255 * 127).any())


def _quiet() -> ort.SessionOptions:
    options = ort.SessionOptions()
    # The workers are the parallelism; more threads inside a session would fight with them.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return options
