"""The report in a real browser: no overflow, no console message, no request, readable both ways."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from covid_cxr.config import EvaluationConfig, RunConfig
from covid_cxr.evaluation import evaluate, join, write_report
from covid_cxr.types import CLASSES, class_of

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
    rows = [
        {
            "path": f"{source}/images/a-rather-long-file-name-without-any-space-{n:05d}.png",
            "source": source,
            "patient_id": f"{source}-{n // 2}",
            "finding": rng.choice(FINDINGS, p=mix),
            "view": rng.choice(["PA", "AP", ""]),
            "split": "test" if n % 4 else "train",
        }
        for source, mix in MIX.items()
        for n in range(120)
    ]
    return pd.DataFrame(rows)


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


def explain(folder, file):
    folder.mkdir()
    for method in ("lime", "cam"):
        Image.new("RGB", (448, 224), "gray").save(folder / f"0-{method}.png")
        facts = {"method": method, "label": "covid-19", "probability": 0.9, "fidelity": 0.7}
        facts |= {"inside_lungs": 0.6, "file": file, "truth": "covid-19"}
        (folder / f"0-{method}.json").write_text(json.dumps(facts))


def make_run(run: Path, task):
    rng = np.random.default_rng(0)
    people = cohort(rng)
    test = people[people["split"] == "test"]
    answers = predictions(rng, test, task)
    people.to_csv(run / "cohort.csv", index=False)
    answers.to_csv(run / "predictions-test.csv", index=False)
    prevalence = people["finding"].map(lambda f: class_of(f, task)).value_counts(normalize=True)
    settings = RunConfig(task=task, evaluation=EvaluationConfig(bootstrap=200))
    measured = evaluate(
        join(answers, test),
        task=task,
        threshold=0.5,
        prevalence=prevalence.to_dict(),
        config=settings.evaluation,
        seed=1,
    )
    metrics = {"task": task, "classes": CLASSES[task], "model": "resnet18", "bundle": "ab" * 32}
    metrics |= {"threshold": 0.5, "temperature": 1.0, "splits": {"test": measured}}
    metrics |= {"command": "covid-cxr run configs/default.yaml --data DATA --out runs/" + 60 * "x"}
    (run / "metrics.json").write_text(json.dumps(metrics))
    (run / "config.json").write_text(settings.model_dump_json())
    (run / "environment.json").write_text(json.dumps({"python": "3.12", "cohort": "ab" * 32}))
    (run / "attrition.csv").write_text("source,rule,rows\nmila,lateral view,230\n")
    explain(run / "explanations", test["path"].iloc[0])
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


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_page(tmp_path, browser, task):
    page_file = make_run(tmp_path, task)
    for width, scheme in ((1440, "light"), (390, "dark")):
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        console, requests = [], []
        page.on("console", lambda message, heard=console: heard.append(message.text))
        page.on("pageerror", lambda error, heard=console: heard.append(str(error)))
        page.on("request", lambda request, heard=requests: heard.append(request.url))
        page.goto(page_file.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert console == []
        assert [url for url in requests if not url.startswith("data:")] == [page_file.as_uri()]
        assert page.locator("svg[role=img]").count() == 5
        assert page.evaluate("[...document.images].every(i => i.naturalWidth > 0)")
        ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
        assert len(ids) == len(set(ids))
        ink = page.evaluate("getComputedStyle(document.querySelector('svg text')).fill")
        assert ink == page.evaluate("getComputedStyle(document.body).color")
        page.close()
