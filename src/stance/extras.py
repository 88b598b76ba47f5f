"""Advice where an optional part of the installation is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from stance.errors import StanceError


@contextmanager
def training_extra() -> Iterator[None]:
    """Turn a missing package of the `train` extra into one line that says how to get it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] in ("stance", "training"):
            raise
        raise StanceError(
            f"this command needs {error.name}: install with pip install 'stance[train]'"
        ) from None
