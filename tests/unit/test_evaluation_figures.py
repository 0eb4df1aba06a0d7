"""Charts: accessible, unique ids, same bytes every time, no trace on the page around them."""

import re
import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
import pytest

from covid_cxr.evaluation import Cases
from covid_cxr.evaluation.figures import draw

NAMES = {"roc", "precision-recall", "reliability", "confusion", "scores"}


def cases(n=200, classes=("non-covid-19", "covid-19"), sources=("mila", "a$b & <c>")):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, len(classes), n)
    p = rng.dirichlet(np.ones(len(classes)), n) + 0.4 * np.eye(len(classes))[labels]
    return Cases(
        classes=classes,
        labels=labels,
        probabilities=p / p.sum(axis=1, keepdims=True),
        patients=np.array([f"p{i // 2}" for i in range(n)], dtype=object),
        sources=np.array([sources[i % len(sources)] for i in range(n)], dtype=object),
    )


def figures(chosen, matrix=((80, 20), (10, 90))):
    return draw(chosen, [list(row) for row in matrix], 0.5, draws=50, seed=1)


@pytest.fixture(scope="module")
def drawn():
    return figures(cases())


def test_all_five(drawn):
    assert set(drawn) == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_accessible_and_well_formed(drawn, name):
    root = ET.fromstring(drawn[name])
    space = "{http://www.w3.org/2000/svg}"
    assert root.get("role") == "img"
    assert root.get("viewBox") and root.get("width") is None
    assert root.get("aria-labelledby") == f"{name}-title {name}-desc"
    assert root.find(f"{space}title").text
    assert re.search(r"\d", root.find(f"{space}desc").text)


def test_ids_are_unique_over_the_page_and_all_used(drawn):
    page = "".join(drawn.values())
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', page))
    assert used <= set(ids)


def test_suits_any_page_and_is_small(drawn):
    page = "".join(drawn.values())
    assert "currentColor" in page
    assert "#010203" not in page and "<style" not in page and "DejaVu" not in page
    assert "<?xml" not in page and "<!DOCTYPE" not in page and "<metadata" not in page
    assert max(map(len, drawn.values())) < 60_000


def test_same_bytes_again_and_settings_untouched(drawn):
    before = dict(matplotlib.rcParams)
    assert figures(cases()) == drawn
    assert dict(matplotlib.rcParams) == before


def test_names_from_data_are_escaped_and_never_mathematics(drawn):
    assert "a$b &amp; &lt;c&gt;" in drawn["roc"]
    assert "<c>" not in "".join(drawn.values())


def test_words_carry_the_numbers(drawn):
    text = ET.fromstring(drawn["confusion"])[1].text
    assert text == (
        "Truth by row. non-covid-19: 80 as non-covid-19, 20 as covid-19; "
        "covid-19: 10 as non-covid-19, 90 as covid-19."
    )
    assert re.search(r"pooled AUROC 0\.\d{3}, inside a\$b", ET.fromstring(drawn["roc"])[1].text)


def test_one_class_has_no_curves():
    chosen = cases()
    assert set(figures(chosen.where(chosen.labels == 1))) == {"confusion", "scores"}
    assert figures(chosen.where(chosen.labels == 7)) == {}


def test_multiclass():
    chosen = cases(classes=("normal", "pneumonia", "covid-19"), sources=("mila",))
    found = figures(chosen, matrix=((9, 1, 0), (2, 8, 0), (0, 0, 0)))
    assert set(found) == NAMES
    assert "2 as normal, 8 as pneumonia" in found["confusion"]
