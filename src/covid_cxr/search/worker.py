"""A worker process of a search: `python -m covid_cxr.search.worker DIR [SECONDS]`.

Started by `run.search`; it ends when its standard input closes, hence with the process that
started it, even where that was killed.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from pathlib import Path

from covid_cxr.errors import CovidCxrError
from covid_cxr.search.folder import SearchFolder
from covid_cxr.search.run import STORAGE, work


def main(arguments: list[str]) -> int:
    """Run trials until all are done; return the exit status."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("covid_cxr").setLevel(logging.INFO)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    deadline = time.monotonic() + float(arguments[1]) if len(arguments) > 1 else None
    try:
        work(SearchFolder.open(Path(arguments[0]), os.environ.get(STORAGE)), deadline)
    except CovidCxrError as error:
        sys.stderr.write(f"covid-cxr: {error}\n")
        return error.exit_status
    except KeyboardInterrupt:
        return 130
    return 0


def _end_with_parent() -> None:
    while os.read(0, 1024):  # unbuffered: a lock on sys.stdin would abort a normal exit
        pass
    os._exit(3)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
