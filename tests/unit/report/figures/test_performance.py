"""Charts: accessible, unique ids, same bytes every time, no trace on the page around them."""

import re
import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
import pytest

from covid_cxr.evaluation import cases, evaluate, join
from covid_cxr.metrics import Bootstrap
from covid_cxr.report.figures.performance import draw
from support import joined_tables as made

CURVES = {"roc", "precision-recall", "reliability", "decision"}
NAMES = CURVES | {"confusion", "confusion-1", "confusion-2", "scores", "groups"}


def figures(task="binary", sources=("mila", "a$b & <c>"), findings=None):
    rows = made.cohort(200, sources=sources)
    if findings:
        rows = rows[rows["finding"].isin(findings)]
    table = join(made.predictions(rows, task), rows)
    measured = evaluate(
        table,
        task=task,
        threshold=0.5,
        prevalence=made.prevalence(made.cohort(), task),
        bootstrap=Bootstrap(100, 1),
    )
    return draw(cases(table, task), measured, bootstrap=Bootstrap(50, 1))


@pytest.fixture(scope="module")
def synthetic():
    return figures()


def test_all(synthetic):
    assert set(synthetic) == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_accessible_and_well_formed(synthetic, name):
    root = ET.fromstring(synthetic[name])
    space = "{http://www.w3.org/2000/svg}"
    assert root.get("role") == "img"
    assert root.get("viewBox") and root.get("width") is None
    assert root.get("aria-labelledby") == f"{name}-title {name}-desc"
    assert root.find(f"{space}title").text
    assert re.search(r"\d", root.find(f"{space}desc").text)


def test_ids_are_unique_over_the_page_and_all_used(synthetic):
    page = "".join(synthetic.values())
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', page))
    assert used <= set(ids)


def test_suits_any_page_and_is_small(synthetic):
    page = "".join(synthetic.values())
    assert "currentColor" in page
    assert "#010203" not in page and "<style" not in page and "DejaVu" not in page
    assert "<?xml" not in page and "<!DOCTYPE" not in page and "<metadata" not in page
    assert max(map(len, synthetic.values())) < 60_000


def test_same_bytes_again_and_settings_untouched(synthetic):
    before = dict(matplotlib.rcParams)
    assert figures() == synthetic
    assert dict(matplotlib.rcParams) == before


def test_names_from_data_are_escaped_and_never_mathematics(synthetic):
    assert "a$b &amp; &lt;c&gt;" in synthetic["roc"]
    assert "<c>" not in "".join(synthetic.values())


def words(svg):
    return ET.fromstring(svg)[1].text


def test_words_carry_the_numbers(synthetic):
    assert re.fullmatch(
        r"Truth by row\. non-covid-19: \d+ as non-covid-19, \d+ as covid-19; "
        r"covid-19: \d+ as non-covid-19, \d+ as covid-19\.",
        words(synthetic["confusion"]),
    )
    assert re.search(r"pooled AUROC 0\.\d{3}, inside a\$b", words(synthetic["roc"]))
    assert re.search(r"slope [\d.]+ \([\d.]+-[\d.]+\)", words(synthetic["reliability"]))
    assert "site north: 0." in words(synthetic["groups"].replace("Site", "site"))
    assert re.search(r"At 0\.50 its net benefit is 0\.\d+", words(synthetic["decision"]))


def test_a_handful_of_images_has_no_curve_of_its_own():
    rows = made.cohort(60)
    rows.loc[rows["source"] == "nih", "source"] = "mila"
    rows.loc[rows.index[[0, 1, 8, 9]], "source"] = "tiny"
    table = join(made.predictions(rows), rows)
    measured = evaluate(
        table,
        task="binary",
        threshold=0.5,
        prevalence=made.prevalence(rows),
        bootstrap=Bootstrap(100, 1),
    )
    found = draw(cases(table, "binary"), measured, bootstrap=Bootstrap(50, 1))
    assert "tiny" not in words(found["roc"])
    assert re.search(r"Source tiny: .*?, small", words(found["groups"]))


def test_one_class_has_no_curves():
    assert set(figures(findings=["covid-19"])) == {
        "confusion",
        "confusion-1",
        "confusion-2",
        "scores",
    }
    assert figures(findings=["nothing"]) == {}


def test_multiclass():
    found = figures("multiclass", sources=("mila",))
    assert set(found) == NAMES - {"confusion-1", "confusion-2"}
    assert re.search(r"pneumonia: \d+ as normal, \d+ as pneumonia", words(found["confusion"]))


def test_the_decision_curve_is_that_of_the_numbers():
    """By hand at 0.5: net benefit (true positives - false positives) / n."""
    rows = made.cohort(200)
    table = join(made.predictions(rows), rows)
    chosen = cases(table, "binary")
    called = chosen.scores >= 0.5
    by_hand = ((called & chosen.events).sum() - (called & ~chosen.events).sum()) / 200
    text = words(figures(sources=("mila", "nih"))["decision"])
    message = re.search(r"net benefit is ([\d.]+), that of treating all ([\d.-]+)\.$", text)
    assert float(message[1]) == pytest.approx(by_hand, abs=5e-4)
    assert float(message[2]) == pytest.approx(2 * np.mean(chosen.events) - 1, abs=5e-4)
