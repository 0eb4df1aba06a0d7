"""Settings of the processor that a training wants and nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def without_denormals() -> Iterator[None]:
    """Round numbers below 1e-38 to 0, which small weights under decay would slow down manyfold.

    Undone afterwards: it holds for all that the thread computes. Also serves as a decorator.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
