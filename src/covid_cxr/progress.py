"""How far long work has come: the code that works reports it, whoever wants to show it listens.

>>> with reporting(lambda description, done, total: print(f"{description}: {done} of {total}")):
...     squares = [number**2 for number in track([3, 4], "squaring")]
squaring: 1 of 2
squaring: 2 of 2
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")
Callback = Callable[[str, int, int], None]  # description, steps done, steps in all
_callback: ContextVar[Callback | None] = ContextVar("progress", default=None)


@contextmanager
def reporting(callback: Callback | None) -> Iterator[None]:
    """Call `callback` with every report made inside the block, by this thread; None for nobody."""
    token = _callback.set(callback)
    try:
        yield
    finally:
        _callback.reset(token)


def report(description: str, done: int, total: int) -> None:
    """Report that `done` of `total` steps are done; a description names one piece of work."""
    callback = _callback.get()
    if callback:
        callback(description, done, total)


def track(iterable: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yield the items of `iterable` and report each as done when the next one is asked for.

    Args:
        iterable: the work.
        description: of the work, shown beside its progress.
        total: number of items; needed where `iterable` has no length.
    """
    if total is None:
        if not isinstance(iterable, Sized):
            raise TypeError("track() needs total= for an iterable without a length")
        total = len(iterable)
    for done, item in enumerate(iterable, start=1):
        yield item
        report(description, done, total)
