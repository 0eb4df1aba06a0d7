"""Pages of the site that are made when it is built, so that nothing is written twice.

The command line's reference comes from its help texts, the list of the Python API from `__all__`,
tutorials from notebooks (executed ones if the variable TUTORIALS names their folder), and some
pages from files that lie elsewhere in the repository.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import typer.cli
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbconvert import MarkdownExporter
from pydantic import BaseModel
from typer.testing import CliRunner

import covid_cxr
from covid_cxr.config import RunConfig

ROOT = Path(__file__).resolve().parents[1]
CARDS = "src/covid_cxr/bundles"
# file of the repository -> page of the site
ELSEWHERE = {
    "CHANGELOG.md": "changes.md",
    "CODE_OF_CONDUCT.md": "conduct.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "research/lab_book.md": "results/lab-book.md",
    "research/numbers.md": "results/numbers.md",
    f"{CARDS}/default/MODEL_CARD.md": "results/model-card.md",
    f"{CARDS}/lungs/LUNGS_CARD.md": "results/lung-network-card.md",
    f"{CARDS}/lungs/INPUT_CHECK_CARD.md": "results/input-check-card.md",
}
LINK = re.compile(r"\[([^\[\]]*)\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)]*)?\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Replace patterns in the navigation by the pages that match."""
    config.nav = _expanded(config.nav)
    return config


def _expanded(entry: Any) -> Any:
    if isinstance(entry, list):
        return [_expanded(item) for item in entry]
    if isinstance(entry, dict):
        return {title: _expanded(item) for title, item in entry.items()}
    if "*" not in entry:
        return entry
    docs = ROOT / "docs"
    return sorted(path.relative_to(docs).as_posix() for path in docs.glob(entry))


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    pages = {page: (ROOT / path).read_text("utf-8") for path, page in ELSEWHERE.items()}
    pages["reference/cli.md"] = command_line()
    for page, more in {"api": api(), "configuration": configuration()}.items():
        name = f"reference/{page}.md"
        pages[name] = (ROOT / "docs" / name).read_text("utf-8") + more
    for name, content in {**pages, **tutorials()}.items():
        if old := files.get_file_from_path(name):
            files.remove(old)
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Point links to where their target is on the site; sources of the code are no page of it."""
    uri = page.file.src_uri
    origin = next((path for path, to in ELSEWHERE.items() if to == uri), f"docs/{uri}")

    def moved(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(origin), match[2]))
        to = ELSEWHERE.get(target, target.removeprefix("docs/"))
        if to == target and (ROOT / target).is_file():
            return match[1]
        to = re.sub(r"\.ipynb$", ".md", to)
        return (
            f"[{match[1]}]({posixpath.relpath(to, posixpath.dirname(uri) or '.')}{match[3] or ''})"
        )

    return LINK.sub(moved, markdown)


def command_line() -> str:
    """Return the reference of all commands, made of their help texts."""
    words = ["covid_cxr.cli.main", "utils", "docs", "--name", "covid-cxr"]
    text = CliRunner().invoke(typer.cli.app, words, catch_exceptions=False).stdout
    text = re.sub(r"\*\*Commands\*\*:\n\n(\* .*\n)+", "", text)  # they follow, in full
    return text.replace("# `covid-cxr`", "# Command line", 1)


def api() -> str:
    """Return the documentation of every public name: functions, the model, records, errors."""
    names = [name for name in covid_cxr.__all__ if not name.startswith("__")]
    objects = {name: getattr(covid_cxr, name) for name in names}
    errors = [name for name, value in objects.items() if _is_error(value)]
    functions = [name for name, value in objects.items() if not isinstance(value, type)]
    records = [name for name in names if name not in {*errors, *functions, "Model"}]
    groups = {"The model": ["load", "Model"], "Functions": functions, "Records": records}
    groups["Functions"].remove("load")
    return "".join(
        f"\n## {title}\n" + "".join(f"\n::: covid_cxr.{name}\n{_OPTIONS}" for name in members)
        for title, members in {**groups, "Errors": errors}.items()
    )


_OPTIONS = "    options: {heading_level: 3, inherited_members: [predict]}\n"


def _is_error(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Exception)


def configuration() -> str:
    """Return a table of all settings and their defaults."""
    rows = "".join(f"| `{key}` | `{value}` |\n" for key, value in _defaults(RunConfig(), ""))
    return f"\n## Defaults\n\n| setting | default |\n| --- | --- |\n{rows}"


def _defaults(settings: BaseModel, before: str) -> Iterator[tuple[str, object]]:
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            yield from _defaults(value, f"{before}{name}.")
        else:
            yield before + name, "null" if value is None else json.dumps(value)


def tutorials() -> dict[str, str | bytes]:
    """Return the notebooks as pages, and the pictures among their outputs."""
    folder = Path(os.environ.get("TUTORIALS", ROOT / "docs" / "tutorials"))
    files: dict[str, str | bytes] = {}
    for path in sorted(folder.glob("*.ipynb")):
        resources = {"unique_key": path.stem, "output_files_dir": f"{path.stem}_files"}
        notebook = _without_logs(nbformat.read(path, as_version=4))
        text, result = MarkdownExporter().from_notebook_node(notebook, resources)
        files[f"tutorials/{path.stem}.md"] = text
        files |= {f"tutorials/{name}": data for name, data in result["outputs"].items()}
    return files


def _without_logs(notebook: Any) -> Any:
    """Remove what cells wrote to stderr: progress bars and warnings of libraries."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [one for one in cell.outputs if one.get("name") != "stderr"]
    return notebook
