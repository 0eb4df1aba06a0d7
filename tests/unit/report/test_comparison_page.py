"""The page, table and figure of a comparison of runs, and the command that writes them."""

import csv
import json

import pytest

from covid_cxr import cli
from covid_cxr.evaluation.compare import compare
from covid_cxr.report.comparison_page import write_comparison
from covid_cxr.report.figures.comparison import forest
from covid_cxr.results import RunComparison
from support.compared_runs import cohort, make_run, noisy, two_runs


@pytest.fixture
def runs(tmp_path):
    return two_runs(tmp_path)


def test_what_is_written(runs, tmp_path):
    found = compare(runs)
    page = write_comparison(found, tmp_path / "out")
    assert {path.name for path in page.parent.iterdir()} == {
        *("compare.html", "compare.csv", "compare.json", "compare.svg")
    }
    assert RunComparison.read(page.parent / "compare.json") == found
    rows = list(csv.DictReader((page.parent / "compare.csv").read_text().splitlines()))
    assert len(rows) == 3 * 2 * 5  # groups, runs, scores
    row = next(r for r in rows if r["run"] == "b/run" and r["score"] == "auroc_delong")
    gap = found.groups["pooled"].differences["b/run"].auroc_delong
    assert float(row["difference"]) == gap.value
    assert float(row["p"]) == gap.p
    html = page.read_text()
    assert (
        "<svg" in html
        and "a/run · b/run" in html
        and "http" not in html.replace("http://www.w3.org", "").replace("http-equiv", "")
    )
    assert "Not a medical device" in html


def test_the_figure_says_its_numbers_in_words(runs):
    found = compare(runs)
    svg = forest(found)
    value = found.groups["pooled"].runs["a/run"].auroc.value
    assert f"pooled, a/run: AUROC {value:.3f}" in svg
    assert 'role="img"' in svg and "<title" in svg


def test_one_class_only_has_no_figure(tmp_path):
    rows = cohort().assign(finding="normal")
    runs = [make_run(tmp_path / name, rows, noisy(rows, 1, seed)) for seed, name in enumerate("ab")]
    page = write_comparison(compare(runs), tmp_path / "out")
    assert "<svg" not in page.read_text() and not (tmp_path / "out" / "compare.svg").exists()
    assert "one class only" in page.read_text()


def test_names_with_markup_are_shown_as_they_are(tmp_path, capsys):
    rows = cohort()
    a = make_run(tmp_path / "a[b]", rows, noisy(rows, 1, 1))
    b = make_run(tmp_path / "<i>&", rows, noisy(rows, 1, 2))
    page = write_comparison(compare([a, b]), tmp_path / "out")
    assert "&lt;i&gt;&amp;" in page.read_text() and "<i>" not in page.read_text()
    assert cli.run(["compare", str(a), str(b)]) == 0
    assert "a[b]" in capsys.readouterr().out


def test_the_command(runs, tmp_path, capsys):
    words = ["compare", *map(str, runs)]
    assert cli.run([*words, "--out", str(tmp_path / "out")]) == 0
    displayed = capsys.readouterr().out
    assert "pooled: 60 images, 14 with COVID-19" in displayed and "compare.html" in displayed
    assert max(map(len, displayed.split("Page:")[0].splitlines())) <= 80
    assert cli.run([*words, "--json", "--seed", "9"]) == 0
    assert json.loads(capsys.readouterr().out)["seed"] == 9
    assert cli.run(["compare", str(runs[0])]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "two run folders or more" in err
