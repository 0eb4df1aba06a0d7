"""Each plugin that docs/how-to/extend shows is registered as the page says and passes its suite."""

from __future__ import annotations

import atexit
import importlib
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from covid_cxr import explain
from covid_cxr.audit import checks
from covid_cxr.cohort import datasets
from covid_cxr.models import zoo
from covid_cxr.phantoms import draw
from covid_cxr.testing.explainers import QuadrantModel
from support.plugin_pages import PAGES, files_of, install_page, write_code

CODE = TemporaryDirectory(prefix="covid-cxr-pages-")
atexit.register(CODE.cleanup)
sys.path.append(CODE.name)


def load(page: str, module: str) -> ModuleType:
    """Import the tests of a page."""
    write_code(page, Path(CODE.name))
    importlib.invalidate_caches()
    return importlib.import_module(module)


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The distributions of all pages, for one test."""
    folder = tmp_path / "site-packages"
    for page in PAGES.glob("*.md"):
        install_page(page.name, folder)
    monkeypatch.syspath_prepend(folder)


TestRise = load("explainer.md", "test_covid_rise").TestRise
TestSmall = load("architecture.md", "test_covid_small").TestSmall
TestWard = load("dataset.md", "test_covid_ward").TestWard
TestSexGap = load("audit-check.md", "test_covid_sex_gap").TestSexGap


def test_the_plugins_are_listed_and_imported_by_name() -> None:
    assert explain.names()[-1] == "rise"
    assert explain.settings_of("rise").names()[2:] == ("masks", "cells", "visible")
    assert zoo.build("small", 2).head.out_features == 2
    assert datasets.adapter("ward").__module__ == "covid_ward"
    assert checks.names()[-1] == "sex-gap"
    assert checks.get("sex-gap").title == "Sex gap"


def test_the_explainer_is_used_as_its_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = draw("covid-19", seed=1).pixels
    Image.fromarray(np.uint8(pixels * 255)).save(tmp_path / "radiograph.png")
    monkeypatch.chdir(tmp_path)
    code = files_of("explainer.md")["use_rise.py"].replace("masks=500", "masks=20")
    namespace: dict[str, Any] = {}
    exec(code, namespace)
    found = namespace["reading"].explanation
    assert (found.method, found.seed) == ("rise", 1)
    assert found.parameters == {"masks": 20, "cells": 7, "visible": 0.5}


def test_rise_by_hand() -> None:
    """One score, the visibility of one pixel: the map there is its variance over that of a cell."""

    class OnePixel(QuadrantModel):
        def probabilities(self, images: np.ndarray) -> np.ndarray:
            return np.stack([1 - images[:, 0, 20, 40], images[:, 0, 20, 40]], axis=1)

    white = np.ones((1, 64, 64), np.float32)
    found = explain.explain_image("rise", OnePixel(), white, "covid-19", masks=2000)
    assert np.unravel_index(found.attribution.argmax(), (64, 64)) == pytest.approx((20, 40), abs=1)
    # Interpolation between two cells a and b, at t: variance t^2 + (1 - t)^2 of one cell's, which
    # averages to 2/3 along each edge.
    assert found.attribution[20, 40] == pytest.approx(4 / 9, abs=0.06)
    assert np.abs(found.attribution[40:, :20]).max() < 0.15
