"""Whether a serialised ONNX model names files outside itself, found without the onnx package.

A runtime would read such files unverified, by a path that the model's author chose (so
CVE-2026-27489). Field numbers: onnx.proto (https://github.com/onnx/onnx), wire format:
https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Iterator
from mmap import ACCESS_READ, mmap
from pathlib import Path

_EXTERNAL_DATA, _DATA_LOCATION = 13, 14  # of a tensor

# message -> field -> the message in that field, for every way from a model to a tensor
_CHILDREN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor",
        6: "graph",
        10: "tensor",
        11: "graph",
        22: "sparse",
        23: "sparse",
    },
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}


def has_external_data(path: Path) -> bool:
    """Whether a tensor of a serialised `ModelProto` is, or may be, stored elsewhere."""
    if not path.stat().st_size:  # which cannot be mapped
        return False
    with path.open("rb") as stream, mmap(stream.fileno(), 0, access=ACCESS_READ) as model:
        # Every reference has an entry of this key, so the walk is only for models under suspicion.
        if model.find(b"location") < 0:
            return False
        content = model[:]
    try:
        return _refers(memoryview(content), "model")
    except (IndexError, ValueError, RecursionError):
        return True  # malformed on purpose, perhaps: a runtime's parser may be more lenient


def _refers(message: memoryview, kind: str) -> bool:
    for field, value in _fields(message):
        if kind == "tensor" and field in (_EXTERNAL_DATA, _DATA_LOCATION) and value:
            return True
        child = _CHILDREN[kind].get(field)
        if child is not None and isinstance(value, memoryview) and _refers(value, child):
            return True
    return False


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field of a message: an integer, or the bytes of anything else."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        wire = key & 7
        if wire == 0:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        if wire == 2:
            length, at = _varint(message, at)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
        yield key >> 3, message[at : at + length]
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
