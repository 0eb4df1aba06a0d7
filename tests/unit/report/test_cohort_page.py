"""The account on disk: page, figures, tables and JSON that say the same."""

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest

from covid_cxr.cohort.summary.summary import CohortSummary, summarise
from covid_cxr.report.cohort_page import write_summary
from covid_cxr.report.figures.cohort import draw
from covid_cxr.types import DISCLAIMER

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def cohort() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    n = 240
    source = np.where(np.arange(n) % 3 == 0, "<b>a$b", "nih")
    finding = np.where(source == "nih", "normal", rng.choice(["pneumonia", "covid-19"], n))
    return pd.DataFrame(
        {
            "image_id": [f"i{number:03d}" for number in range(n)],
            "patient_id": [f"p{number // 2}" for number in range(n)],
            "source": source,
            "site": rng.choice(["x", "y", ""], n),
            "finding": finding,
            "raw_finding": finding,
            "path": [f"{number}.png" for number in range(n)],
            "view": rng.choice(["PA", "AP", ""], n),
            "sex": rng.choice(["M", "F", ""], n),
            "age": rng.choice([3.0, 44.0, 110.0, np.nan], n),
            "width": 1000,
            "height": rng.choice([800, 1000], n),
            "license": "",
            "sha256": [f"{number:064x}" for number in range(n)],
            "duplicate_group": "",
            "split": rng.choice(["train", "test", "excluded"], n, p=[0.6, 0.3, 0.1]),
        }
    ).assign(exclusion=lambda table: np.where(table["split"] == "excluded", "lateral view", ""))


@pytest.fixture(scope="module")
def found(cohort: pd.DataFrame) -> CohortSummary:
    return summarise(cohort)


def test_every_file_is_written_and_json_and_tables_agree(
    found: CohortSummary, cohort: pd.DataFrame, tmp_path: Path
):
    page = write_summary(found, cohort, tmp_path / "new", name="x/cohort.csv")
    out = page.parent
    assert page == tmp_path / "new" / "cohort.html"
    record = json.loads((out / "summary.json").read_text())
    assert record == found.record()
    assert {path.stem for path in (out / "tables").iterdir()} == set(record["tables"])
    for name, rows in record["tables"].items():
        table = pd.read_csv(out / "tables" / f"{name}.csv")
        assert len(table) == len(rows)
    counts = pd.read_csv(out / "tables" / "source.csv")
    assert counts["total"].sum() == record["images"]
    assert not list(out.rglob("*.png"))


def test_the_page_holds_all_and_fetches_nothing(
    found: CohortSummary, cohort: pd.DataFrame, tmp_path: Path
):
    text = write_summary(found, cohort, tmp_path, name="x/cohort.csv").read_text()
    assert text.count("<svg") == 4
    assert text.count(DISCLAIMER) == 2
    for sentence in found.warnings.sentences:
        assert sentence.replace("'", "&#39;").replace("<b>", "&lt;b&gt;") in text
    assert 'class="verdict warning"' in text
    assert "<b>" not in text and "&lt;b&gt;a$b" in text
    assert "://" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", text)
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))


def test_figures_are_accessible_and_say_their_numbers(found: CohortSummary, cohort: pd.DataFrame):
    before = dict(matplotlib.rcParams)
    figures = draw(found, cohort)
    assert set(figures) == {"source-finding", "view-finding", "age-finding", "confounding"}
    for name, svg in figures.items():
        root = ET.fromstring(svg)
        assert root.get("role") == "img" and root.get("viewBox")
        assert root.get("aria-labelledby") == f"{name}-title {name}-desc"
        assert re.search(r"\d", root.find(f"{SVG}desc").text)
        assert "#010203" not in svg
    included = cohort[cohort["split"] != "excluded"]
    words = ET.fromstring(figures["view-finding"]).find(f"{SVG}desc").text
    of_pa = included[included["view"] == "PA"]
    counts = of_pa["finding"].value_counts()
    assert (
        f"PA: {len(of_pa)} images, {counts['normal']} normal, {counts['pneumonia']} pneumonia, "
        f"{counts['covid-19']} covid-19" in words
    )
    words = ET.fromstring(figures["age-finding"]).find(f"{SVG}desc").text
    ages = included.loc[included["finding"] == "covid-19", "age"]
    assert f"covid-19: {ages.notna().sum()} of {len(ages)} with an age, median" in words
    source = found.confounding.iloc[0]
    words = ET.fromstring(figures["confounding"]).find(f"{SVG}desc").text
    assert words.startswith(
        f"source: Cramer's V {source['cramers_v']:.2f}, AUROC {source['auroc']:.2f};"
    )
    assert draw(found, cohort) == figures
    assert dict(matplotlib.rcParams) == before


def test_what_cannot_be_drawn_is_left_out(cohort: pd.DataFrame, tmp_path: Path):
    plain = cohort[cohort["source"] == "nih"].assign(age=np.nan, view="\x1b" + "v" * 60)
    plain = plain.reset_index(drop=True)
    figures = draw(summarise(plain), plain)
    assert set(figures) == {"source-finding", "view-finding"}
    assert "\x1b" not in "".join(figures.values())
    nobody = plain.assign(split="excluded", exclusion="lateral view")
    assert draw(summarise(nobody), nobody) == {}
    text = write_summary(summarise(nobody), nobody, tmp_path, name="n").read_text()
    assert "No image is included" in text and "Figures" not in text
