"""What the tests of downloads share: a server, a clock that does not wait, a disk of any size."""

import threading
from collections import namedtuple
from collections.abc import Callable, Iterator

import pytest

from support.file_server import Site


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that would have been waited between attempts."""
    waited: list[float] = []
    monkeypatch.setattr("pooch.core.time.sleep", waited.append)
    return waited


@pytest.fixture
def site(waits: list[float], monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Site()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def free_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Set how many bytes the disk seems to have free."""
    usage = namedtuple("usage", "total used free")

    def set_free(count: int) -> None:
        monkeypatch.setattr("shutil.disk_usage", lambda path: usage(10**12, 0, count))

    return set_free
