"""Progress reaches whoever listens, and nobody else."""

from collections.abc import Iterator
from threading import Thread

import pytest

from covid_cxr.progress import report, reporting, track


def test_items_are_reported_once_they_are_done() -> None:
    events: list[object] = []
    with reporting(lambda *step: events.append(step)):
        for item in track("ab", "reading"):
            events.append(item)
    assert events == ["a", ("reading", 1, 2), "b", ("reading", 2, 2)]


def test_without_a_listener_nothing_happens() -> None:
    report("reading", 1, 1)
    with reporting(None):
        assert list(track([1, 2], "reading")) == [1, 2]


def test_the_innermost_listener_hears_until_its_block_ends() -> None:
    outer: list[int] = []
    inner: list[int] = []
    with reporting(lambda _, done, __: outer.append(done)):
        with pytest.raises(ValueError, match="stop"), reporting(lambda _, n, __: inner.append(n)):
            report("work", 1, 3)
            raise ValueError("stop")
        report("work", 2, 3)
    report("work", 3, 3)
    assert (outer, inner) == ([2], [1])


def test_a_generator_needs_a_total() -> None:
    def numbers() -> Iterator[int]:
        yield 1

    recorded: list[tuple[str, int, int]] = []
    with reporting(lambda *step: recorded.append(step)):
        assert list(track(numbers(), "counting", total=1)) == [1]
    assert recorded == [("counting", 1, 1)]
    with pytest.raises(TypeError, match="total="):
        next(track(numbers(), "counting"))


def test_another_thread_is_not_heard() -> None:
    """A pool's workers report nothing: whoever takes their results does."""
    recorded: list[int] = []
    with reporting(lambda _, done, __: recorded.append(done)):
        worker = Thread(target=report, args=("work", 1, 1))
        worker.start()
        worker.join()
    assert recorded == []
