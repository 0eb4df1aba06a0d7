"""A plugin's network, which starts from random weights, trained as the documentation says."""

from __future__ import annotations

import csv
import re
import shlex
import sys
from pathlib import Path

import pandas as pd
import pytest

from covid_cxr import cli
from covid_cxr.cohort import build
from covid_cxr.config import RunConfig
from covid_cxr.models import bundle
from support.plugin_pages import install_page, write_code

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("graph_templates")]


@pytest.fixture
def cohort(phantoms: Path, tiny_config: RunConfig, tmp_path: Path) -> Path:
    """Two patients of each class and split."""
    rows = build.build(phantoms, tiny_config.cohort, tiny_config.seed).cohort
    rows = rows[rows["split"].isin(("train", "val"))].drop_duplicates("patient_id")
    few = pd.concat(part.head(2) for _, part in rows.groupby(["split", "finding"]))
    few.to_csv(tmp_path / "cohort.csv", index=False, quoting=csv.QUOTE_MINIMAL)
    return tmp_path / "cohort.csv"


def test_the_advice_for_random_weights_is_a_command_that_works(
    cohort: Path,
    phantoms: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    install_page("architecture.md", tmp_path / "plugin")
    write_code("architecture.md", tmp_path / "plugin")
    monkeypatch.syspath_prepend(tmp_path / "plugin")
    monkeypatch.delitem(sys.modules, "covid_small", raising=False)
    monkeypatch.chdir(tmp_path)

    def train(*recipe: str) -> int:
        small = ("-s", "preprocess.size=64", "-s", "training.max_epochs=1")
        return cli.run(["train", *recipe, *small, "--cohort", str(cohort), "--data", str(phantoms)])

    assert train("default", "-s", "model=small") == 2
    error = capsys.readouterr().err
    advice = re.search(
        r"take the recipe (\S+ -s model=small), which trains them all$", error.strip()
    )
    assert advice, error
    assert train(*shlex.split(advice[1])) == 0
    made = bundle.load(tmp_path / "runs/from-scratch/bundle")
    assert (made.manifest.architecture, made.manifest.has_cam) == ("small", True)
