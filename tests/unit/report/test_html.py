"""Report and card from a run folder, whatever of it is there."""

import json
import re

import pandas as pd
import pytest
from PIL import Image

from covid_cxr.errors import InputError
from covid_cxr.report import formatting
from covid_cxr.report.html import write_report
from covid_cxr.types import DISCLAIMER
from support import joined_tables as made


@pytest.fixture(scope="module")
def metrics():
    return made.metrics()


@pytest.fixture
def run(tmp_path, metrics):
    metrics.write(tmp_path / "metrics.json")
    return tmp_path


def test_metrics_alone_make_a_page(run):
    page = write_report(run)
    assert page == run / "report.html"
    text = page.read_text()
    assert f'class="disclaimer">{DISCLAIMER}' in text and f"<footer>{DISCLAIMER}" in text
    assert "What this allows one to claim" in text
    assert "evaluated 1 time in" in text
    for absent in (
        "Explained examples",
        "Duplicate images",
        "<svg",
        "Configuration",
        "Out of fold",
        "External validation",
        'id="errors"',
        "Montages",
    ):
        assert absent not in text


def test_text_from_data_is_escaped(run):
    text = write_report(run).read_text()
    assert "<b>mila</b>" not in text and "&lt;b&gt;mila&lt;/b&gt;" in text
    assert "<script" not in text


def test_every_score_stands_beside_the_constant_prior(run, metrics):
    text = write_report(run).read_text().replace("\u00a0", " ")
    test = metrics.splits["test"]
    for key, label in formatting.score_names(test.pooled).items():
        displayed = test.pooled.named()[key].format()
        prior = formatting.number(test.constant_prior.named()[key].value)
        cells = rf'<td class="n">{re.escape(displayed)}</td><td class="n">{prior}<'
        row = f"{re.escape(label)}</th>{cells}"
        assert re.search(row, text), key


def finish(run):
    """Put cohort and predictions beside the metrics."""
    people = made.awkward()
    people.to_csv(run / "cohort.csv", index=False)
    test = people[people["split"] == "test"]
    made.predictions(test).to_csv(run / "predictions-test.csv", index=False)
    return run


@pytest.fixture(scope="module")
def reported(tmp_path_factory, metrics):
    """A run with a report that nobody changes."""
    run = tmp_path_factory.mktemp("reported")
    metrics.write(run / "metrics.json")
    write_report(finish(run))
    return run


@pytest.fixture(scope="module")
def page(reported):
    return (reported / "report.html").read_text()


def test_figures_are_drawn_from_the_predictions_of_the_split(reported, page):
    names = {
        *("roc", "precision-recall", "reliability", "decision", "scores", "groups"),
        *("confusion", "confusion-1", "confusion-2"),
        *("source-finding", "view-finding", "age-finding", "confounding"),
    }
    assert {path.stem for path in (reported / "figures").iterdir()} == names
    assert page.count("<svg") == len(names)
    assert "120 images of 60 patients" in page


def test_every_heading_stands_in_the_contents(page):
    sentence = re.findall(r'<li><a href="#([^"]+)">', page)
    assert sentence == re.findall(r'<h2 id="([^"]+)">', page)
    assert sentence[0] == "claims" and sentence[-1] == "reproduce"
    assert {"scores", "calibration", "use", "groups", "audit", "errors", "cohort"} <= set(sentence)


def test_every_number_of_the_page_is_in_the_metrics(page, metrics):
    test = metrics.splits["test"]
    for key in ("slope", "intercept", "ece"):
        assert getattr(test.calibration, key).format() in page
    for point in test.thresholds:
        for at in point.at:
            displayed = formatting.number(at.ppv.value)
            assert f'<span class="what">PPV</span> {displayed}' in page
    for key in ("per_source", "per_site", "per_view", "per_sex", "per_age_band"):
        for group in test.groups(key).values():
            assert f'<td class="n">{formatting.number(group.sensitivity.value)}' in page


def test_the_surest_errors_are_listed_and_shown_where_they_are_explained(run, page):
    whole, text = finish(run), page
    rows = re.findall(r'class="wrap">([^<]*test\d+\.png)</th><td class="nowrap">(.*?)</td>', text)
    kinds = [kind for _, kind in rows]
    assert kinds == sorted(kinds, reverse=True) and set(kinds) == {"missed", "false alarm"}
    assert "None of them is explained in this run." in text
    folder = whole / "explanations"
    folder.mkdir()
    for name, why in (("a", "error"), ("b", "drawn")):
        details = {"method": "cam", "label": "covid-19", "file": f"{name}.png", "chosen": why}
        (folder / f"{name}.json").write_text(json.dumps(details))
        (folder / f"{name}.png").write_bytes(b"picture")
    text = write_report(whole).read_text()
    errors, synthetic = text.index('id="errors"'), text.index('id="examples"')
    assert errors < text.index('for a.png"') < synthetic < text.index('for b.png"')
    assert text.count('for a.png"') == 1 and text.count('for b.png"') == 1
    assert "None of them is explained" not in text


def test_montages_are_small_and_copies_are_left_out(run):
    folder = run / "montages"
    folder.mkdir()
    for name in ("mila-covid-19", "duplicates-1"):
        Image.effect_noise((400, 300), 40).save(folder / f"{name}.png")
    text = write_report(run).read_text()
    assert text.count("data:image/jpeg;base64,") == 1
    assert 'alt="Montage of images: mila-covid-19"' in text


def test_checklists_stand_in_the_folder_and_on_the_page(reported, page):
    assert "CLAIM 2024: of 44 items" in page and "TRIPOD+AI: of 52 items" in page
    for name, items in (("CLAIM.md", 44), ("TRIPOD-AI.md", 52)):
        page = (reported / name).read_text()
        assert len(re.findall(r"^\| \d+[a-g]? \|", page, re.MULTILINE)) == items


ATTRITION = """source,rule,removed,remaining
mila,rows in the source,0,10
mila,view,3,7
mila,file,0,7
nih,rows in the source,0,5
nih,view,0,5
nih,file,0,5
"""


def test_long_tables_say_what_they_leave_out(run):
    rows = pd.DataFrame({"duplicate_group": range(25), "path": "x.png"})
    rows.to_csv(run / "duplicates.csv", index=False)
    text = write_report(run).read_text()
    assert "The first 20 of 25 rows" in text


def test_attrition_shows_the_rules_that_left_something_out(run):
    (run / "attrition.csv").write_text(ATTRITION)
    text = write_report(run).read_text()
    row = r'<tr><th scope="row">{}</th><td class="n">{}</td><td class="n">{}</td></tr>'
    assert row.format("rows in the source", 10, 5) in text
    assert row.format("view", "7 (−3)", 5) in text
    assert '<th scope="row">file</th>' not in text


def test_nothing_found_and_an_empty_file(run):
    (run / "duplicates.csv").write_text("duplicate_group,path\n")
    (run / "attrition.csv").write_text("")
    text = write_report(run).read_text()
    assert "None were found." in text and "What each rule left" not in text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("metrics.json", None, "has no metrics.json"),
        ("config.json", "{", "config.json' is not YAML"),
        ("config.json", '{"sed": 1}', "config.json: unknown key 'sed'"),
        ("environment.json", "[]", "holds a list"),
        ("attrition.csv", 'a,b\n"x,1\n', "is no CSV table"),
        ("attrition.csv", "source,rule\nmila,view\n", "has no column 'removed'"),
        ("audit.json", "[]", "is not the audit.json of this version"),
    ],
)
def test_broken_runs_are_named(run, name, content, message):
    (run / name).unlink(missing_ok=True)
    if content is not None:
        (run / name).write_text(content)
    with pytest.raises(InputError, match=message):
        write_report(run)
