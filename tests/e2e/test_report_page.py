"""The report in a real browser: no overflow, no console message, no request, readable both ways."""

import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from covid_cxr.cohort.schema import COLUMNS
from covid_cxr.config import EvaluationConfig, RunConfig
from covid_cxr.evaluation import TargetPrevalence, conformal_coverage, evaluate, join
from covid_cxr.metrics import Bootstrap
from covid_cxr.report.html import write_report
from covid_cxr.results import OutOfFoldMetrics
from covid_cxr.types import CLASSES, class_of
from support.results import audit, check, finding, run_metrics

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine"),
]
MIX = {"mila": (0.1, 0.25, 0.65), "nih": (0.8, 0.2, 0.0), "figure1": (0.1, 0.2, 0.7)}
FINDINGS = ("normal", "pneumonia", "covid-19")


def cohort(rng):
    """Three sources with awkward names, as a full `cohort.csv` holds them."""
    rows = [
        {
            "image_id": f"{source}:{n}",
            "path": f"{source}/images/a-rather-long-file-name-without-any-space-{n:05d}.png",
            "source": source,
            "site": f"a-publisher-with-a-very-long-name-{n // 8 % 12}.example.org",
            "patient_id": f"{source}:{n // 8}",
            "finding": rng.choice(FINDINGS, p=mix),
            "view": rng.choice(["PA", "AP", ""]),
            "sex": rng.choice(["F", "M", ""]),
            "age": rng.choice([25.0, 50.0, 71.0, 84.0, np.nan]),
            "width": 512,
            "height": 512,
            "sha256": f"{len(source)}{n:063d}",
            "split": "test" if n // 8 % 4 else "train",
        }
        for source, mix in MIX.items()
        for n in range(240)
    ]
    table = pd.DataFrame(rows)
    for empty in ("raw_finding", "license", "duplicate_group", "exclusion"):
        table[empty] = ""
    return table[list(COLUMNS)]


def predictions(rng, rows, task):
    """Scores that lean on the source, as a model that has learnt a shortcut gives them."""
    z = rng.normal(rows["finding"].eq("covid-19") - 1.5 * rows["source"].eq("nih"), 1)
    covid = 1 / (1 + np.exp(-z))
    rest = {"binary": (1,), "multiclass": (0.7, 0.3)}[task]
    columns = [*(share * (1 - covid) for share in rest), covid]
    table = pd.DataFrame({"file": rows["path"], "status": "ok"})
    for name, column in zip(CLASSES[task], columns, strict=True):
        table[f"probability_{name}"] = column
    table.loc[table.index[3], "status"] = "abstained"
    return table


SENTENCE = (
    "With the lungs painted over, a classifier still tells COVID-19 from the rest with an AUROC of "
    "0.93 (0.91-0.95): what it reads is not in the lungs."
)
FINDING = finding(sentence=SENTENCE)
AUDIT = audit(
    check(sentence=SENTENCE, findings=(FINDING, FINDING.model_copy(update={"name": "frame only"}))),
    check(
        name="size",
        number=12,
        title="Size",
        verdict="info",
        sentence="Few patients.",
        findings=(finding(sentence=SENTENCE, value=None, low=None, high=None, bound=None),),
    ),
    images=180,
    patients=23,
)


def explain(folder, file):
    folder.mkdir()
    for method in ("lime", "cam"):
        Image.new("RGB", (448, 224), "gray").save(folder / f"0-{method}.png")
        record = {"method": method, "label": "covid-19", "probability": 0.9, "fidelity": 0.7}
        record |= {"inside_lungs": 0.6, "file": file, "truth": "covid-19"}
        (folder / f"0-{method}.json").write_text(json.dumps(record))


def make_run(run: Path, task):
    rng = np.random.default_rng(0)
    people = cohort(rng)
    test = people[people["split"] == "test"]
    answers = predictions(rng, test, task)
    people.to_csv(run / "cohort.csv", index=False)
    answers.to_csv(run / "predictions-test.csv", index=False)
    prevalence = people["finding"].map(lambda f: class_of(f, task)).value_counts(normalize=True)
    settings = RunConfig(task=task, evaluation=EvaluationConfig(bootstrap=200))
    options = {
        "task": task,
        "threshold": 0.5,
        "prevalence": prevalence.to_dict(),
        "bootstrap": Bootstrap(settings.evaluation.bootstrap, 1),
    }
    measured = evaluate(join(answers, test), target=TargetPrevalence(0.003, 0.4), **options)
    train = people[people["split"] == "train"]
    folds = join(predictions(rng, train, task), train)
    class_sets = conformal_coverage(folds, people, task, parts=5, bootstrap=Bootstrap(200, 1))
    fold = OutOfFoldMetrics(**dict(evaluate(folds, **options)), folds=5, conformal=class_sets)
    run_metrics(
        task=task,
        classes=CLASSES[task],
        bundle="ab" * 32,
        temperature=1.0,
        splits={"test": measured},
        out_of_fold=fold,
        command="covid-cxr run configs/default.yaml --data DATA --out runs/" + 60 * "x",
    ).write(run / "metrics.json")
    (run / "config.json").write_text(settings.model_dump_json())
    (run / "environment.json").write_text(json.dumps({"python": "3.12", "cohort": "ab" * 32}))
    attrition = "source,rule,removed,remaining\nmila,rows in the source,0,470\nmila,view,230,240\n"
    (run / "attrition.csv").write_text(attrition)
    AUDIT.write(run / "audit.json")
    explain(run / "explanations", test["path"].iloc[0])
    (run / "montages").mkdir()
    Image.new("RGB", (1388, 700), "gray").save(run / "montages" / "mila-covid-19.png")
    return write_report(run)


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-background-networking"],
        )
        yield opened
        opened.close()


@pytest.fixture(scope="module", params=["binary", "multiclass"])
def page_file(request, tmp_path_factory):
    return make_run(tmp_path_factory.mktemp(request.param), request.param)


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page(page_file, browser, width, scheme):
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    console, requests = [], []
    page.on("console", lambda message: console.append(message.text))
    page.on("pageerror", lambda error: console.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(page_file.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert console == []
    assert [url for url in requests if not url.startswith("data:")] == [page_file.as_uri()]
    assert page.locator("svg[role=img]").count() == 14
    assert page.evaluate("[...document.images].every(i => i.naturalWidth > 0 && i.alt)")
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))
    ink = page.evaluate("getComputedStyle(document.querySelector('svg text')).fill")
    assert ink == page.evaluate("getComputedStyle(document.body).color")
    back = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (int(back.split("(")[1].split(",")[0]) < 128) is (scheme == "dark")
    page.close()


# Whatever is wider than the page must lie in a box of its own that scrolls.
_OUTSIDE = """[...document.querySelectorAll('main *, header *, nav *')]
  .filter(e => !e.closest('.scroll, pre, svg') && e.getClientRects().length)
  .filter(e => e.getBoundingClientRect().right > innerWidth + 1)
  .map(e => e.outerHTML.slice(0, 80))"""


@pytest.mark.parametrize("width", [1440, 390])
def test_nothing_leaves_the_page_and_every_table_has_its_box(page_file, browser, width):
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(page_file.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.evaluate(_OUTSIDE) == []
    assert page.evaluate("[...document.querySelectorAll('table')].every(t => t.closest('.scroll'))")
    unnamed = "[...document.querySelectorAll('.scroll')].filter(e => !e.ariaLabel || e.tabIndex)"
    assert page.evaluate(f"{unnamed}.length") == 0
    small = page.evaluate(
        "Math.min(...[...document.querySelectorAll('svg text')]"
        ".filter(e => e.getClientRects().length).map(e => e.getBoundingClientRect().height))"
    )
    assert small >= 8
    page.close()


def test_contents_stay_in_sight_where_there_is_room(page_file, browser):
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(page_file.as_uri())
    contents = page.locator("nav.contents")
    page.evaluate("scrollTo(0, 4000)")
    assert contents.bounding_box()["y"] == 0
    links = page.evaluate("[...document.querySelectorAll('nav a')].map(a => a.hash.slice(1))")
    assert len(links) > 10
    assert page.evaluate("ids => ids.every(i => document.getElementById(i))", links)
    page.set_viewport_size({"width": 390, "height": 900})
    assert contents.bounding_box()["width"] == 390
    page.close()


def test_prints_without_contents_and_in_light(page_file, browser, tmp_path):
    page = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme="dark")
    page.goto(page_file.as_uri())
    page.emulate_media(media="print")
    assert not page.locator("nav.contents").is_visible()
    ink = page.evaluate("getComputedStyle(document.body).color")
    assert int(ink.split("(")[1].split(",")[0]) < 128  # dark on paper
    page.set_viewport_size({"width": 688, "height": 980})  # A4 within its margins, 96 a inch
    assert page.evaluate(_WIDER_IN_PRINT) == []
    page.pdf(path=tmp_path / "report.pdf", format="A4")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    page.close()


_WIDER_IN_PRINT = """[...document.querySelectorAll('main *')]
  .filter(e => !e.closest('svg') && e.getClientRects().length)
  .filter(e => e.getBoundingClientRect().right > innerWidth + 1)
  .map(e => e.outerHTML.slice(0, 80))"""


def test_headings_go_down_by_one_and_tables_name_their_columns(page_file, browser):
    page = browser.new_page()
    page.goto(page_file.as_uri())
    quantities = page.evaluate(
        "[...document.querySelectorAll('h1, h2, h3')].map(h => +h.tagName[1])"
    )
    assert quantities[0] == 1 and quantities.count(1) == 1
    assert all(below - above <= 1 for above, below in pairwise(quantities))
    nameless = page.evaluate("[...document.querySelectorAll('th')].filter(t => !t.scope).length")
    assert nameless == 0
    page.close()
