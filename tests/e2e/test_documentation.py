"""What the documentation says works: its commands, Python code, notebooks and links run here.

`support/documentation.py` says how a block that cannot be run on phantoms is marked.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from covid_cxr import cli
from covid_cxr.config import RunConfig
from covid_cxr.imaging import read
from covid_cxr.search import checks, load
from support.dicom_objects import dataset_of, encode
from support.documentation import ROOT, blocks, check_arguments, commands, is_for_soak, pages

PAGES = pages()
NOTEBOOKS = sorted((ROOT / "docs/tutorials").glob("*.ipynb"))
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")
WORKED = (0, 3, 4)  # exit status: docs/reference/files.md


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.fixture(scope="module")
def desk(
    phantoms: Path, tiny_run: Path, tiny_folds: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with what the examples speak of, made of phantoms."""
    desk = tmp_path_factory.mktemp("desk")
    shutil.copytree(phantoms, desk / "DATA")
    shutil.copytree(tiny_run, desk / "runs/default")
    shutil.copytree(tiny_folds, desk / "runs/oof")
    (desk / "BUNDLE").symlink_to(tiny_run / "bundle")
    write_images(desk, phantoms)
    shutil.copytree(desk / "export", desk / "DATA/export")
    return desk


def write_images(folder: Path, phantoms: Path) -> None:
    """Write radiograph.dcm, radiograph.png, radiographs/ and a DICOM export."""
    images = sorted((phantoms / "images").glob("*.png"))[:3]
    (folder / "radiographs").mkdir()
    for path in images:
        shutil.copy(path, folder / "radiographs")
    write_export(folder / "export", images)
    shutil.copy(folder / "export/0.dcm", folder / "radiograph.dcm")
    shutil.copy(images[0], folder / "radiograph.png")


def write_export(folder: Path, images: list[Path]) -> None:
    """A DICOM export of phantoms with its label table."""
    folder.mkdir()
    rows = ["SOPInstanceUID,finding"]
    for number, path in enumerate(images):
        pixels = np.uint16(read(path).pixels * 4095)
        uid = f"1.2.826.0.1.3680043.8.498.{number + 1}"
        image = dataset_of(
            pixels, BitsStored=12, SOPInstanceUID=uid, PatientID=f"X{number}", ViewPosition="PA"
        )
        image.file_meta.MediaStorageSOPInstanceUID = uid
        (folder / f"{number}.dcm").write_bytes(encode(image, enforce_file_format=True))
        rows.append(f"{uid},{['normal', 'pneumonia', 'covid-19'][number % 3]}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")


def run_python(code: str, namespace: dict[str, Any]) -> None:
    """Execute a block or cell as a notebook does: what its last line gives is displayed."""
    tree = ast.parse(code)
    if tree.body and isinstance(last := tree.body[-1], ast.Expr):
        tree.body[-1] = ast.Assign([ast.Name("_", ast.Store())], last.value)
    exec(compile(ast.fix_missing_locations(tree), "<example>", "exec"), namespace)
    value = namespace.pop("_", None)
    getattr(value, "_repr_png_", lambda: repr(value))()


def check_settings(raw: dict[str, Any], desk: Path) -> None:
    """Fail unless a configuration, or the file of a search, can work."""
    if "space" not in raw:
        RunConfig.model_validate(raw)
        return
    search = desk / "search.yaml"
    search.write_text(yaml.safe_dump(raw))
    checks.check(load(search))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_examples_run(page: Path, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk)
    namespace: dict[str, Any] = {}
    for block in blocks(page):
        if block.mark.startswith("file "):
            (desk / block.mark.split()[1]).write_text(block.text)
        if block.language == "python" and not block.mark:
            run_python(block.text, namespace)
        if block.language == "yaml" and isinstance(raw := yaml.safe_load(block.text), dict):
            check_settings(raw, desk)
        for words in commands(block) if block.language == "bash" else ():
            check_arguments(words)
            if words[0] == "covid-cxr" and not block.mark and not is_for_soak(block, words):
                run_once(words[1:], desk / "commands")


def run_once(arguments: list[str], done: Path) -> None:
    """Run a command unless another page has shown it."""
    done.mkdir(exist_ok=True)
    note = done / hashlib.sha256(repr(arguments).encode()).hexdigest()
    if not note.exists():
        assert cli.run(arguments) in WORKED, arguments
        note.touch()


@pytest.mark.skipif("COVID_CXR_SOAK" not in os.environ, reason="hours; scripts/soak runs it")
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_long_examples_run(page: Path, phantoms: Path, real_data: Path) -> None:
    folder = Path(os.environ["COVID_CXR_SOAK"])
    if not folder.is_dir():
        folder.mkdir(parents=True)
        write_images(folder, phantoms)
        (folder / "DATA").symlink_to(real_data.resolve())
        for name in ("benchmarks", "research", "docs", "scripts"):
            (folder / name).symlink_to(ROOT / name)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for block in blocks(page):
        for words in commands(block) if block.language == "bash" else ():
            if is_for_soak(block, words):
                environment = {**os.environ, "PATH": path}
                done = subprocess.run(words, cwd=folder, env=environment, check=False)
                assert done.returncode in WORKED, words


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=name_of)
def test_tutorials_run(
    notebook: Path, graph_templates: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {}
    for cell in json.loads(notebook.read_text("utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            run_python("".join(cell["source"]), namespace)
    if "audit" in namespace:  # the text says that the injected shortcut is found
        assert namespace["audit"].verdict == "fail"
        assert namespace["metrics"].splits["test"].pooled.auroc.value > 0.9


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=name_of)
def test_tutorials_are_committed_without_outputs(notebook: Path) -> None:
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    assert [cell["outputs"] or cell["execution_count"] for cell in code] == [None] * len(code)


@pytest.mark.parametrize("page", [*PAGES, *sorted(ROOT.glob("research/*.md"))], ids=name_of)
def test_links_lead_to_files(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    generated = {"reference/cli.md"}
    missing = [
        target
        for target in LINK.findall(text)
        if not (page.parent / target).exists()
        and os.path.relpath(page.parent / target, ROOT / "docs") not in generated
    ]
    assert not missing


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 110


@pytest.mark.skipif(
    importlib.util.find_spec("mkdocs") is None or importlib.util.find_spec("nbconvert") is None,
    reason="the extra 'docs' is not installed: pip install '.[docs]'",
)
def test_site_builds_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    site = tmp_path / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONWARNINGS": "default"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    pages = {
        path.relative_to(site).as_posix(): path.read_text("utf-8") for path in site.rglob("*.html")
    }
    loads = re.compile(r"<(?:script|link|img|iframe)[^>]*(?:src|href)=\"?(?:https?:)?//[^>]*>")
    assert not [(name, match) for name, text in pages.items() for match in loads.findall(text)]
    assert "covid-cxr-cohort-build" in pages["reference/cli.html"]
    assert "covid_cxr.load" in pages["reference/api.html"]
