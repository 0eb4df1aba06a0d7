"""The plugins that docs/how-to/extend shows, as files and as an installed distribution."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from support.distributions import install

PAGES = Path(__file__).resolve().parents[2] / "docs/how-to/extend"
_FILE = re.compile(r"^<!-- example: file (\S+) -->\n```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)


def files_of(page: str) -> dict[str, str]:
    """Return the files that a page shows, by name."""
    return dict(_FILE.findall((PAGES / page).read_text("utf-8")))


def write_code(page: str, folder: Path) -> None:
    """Write the Python files of a page."""
    for name, text in files_of(page).items():
        if name.endswith(".py"):
            (folder / name).write_text(text)


def install_page(page: str, folder: Path) -> None:
    """Install the distribution that a page's pyproject.toml describes, but for its code."""
    project = tomllib.loads(files_of(page)["pyproject.toml"])["project"]
    install(folder, project["name"], project["version"], project["entry-points"])
