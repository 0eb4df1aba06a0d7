"""The pictures of a report: examples by seed, the most confident errors, montages."""

import json
import shutil
from pathlib import Path

import pytest

from covid_cxr import evaluation
from covid_cxr.evaluation.confident_errors import most_confident
from covid_cxr.inference import Predictor
from covid_cxr.pipeline import RunFolder
from covid_cxr.pipeline.examples import choose, explain_examples
from covid_cxr.report import write_report


@pytest.fixture(scope="module")
def explained(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A copy of the tiny run, its four most confident errors explained too."""
    path = Path(shutil.copytree(tiny_run, tmp_path_factory.mktemp("pictures") / "run"))
    opened = RunFolder.open(path)
    wanted = {"errors": 4, "montages": True, "methods": ("cam",)}
    settings = opened.config.explain.model_copy(update=wanted)
    config = opened.config.model_copy(update={"explain": settings})
    folder = RunFolder(path, config, opened.command)
    explain_examples(folder, Predictor(folder.bundle()), folder.cohort())
    write_report(path)
    return folder


def chosen(folder: RunFolder) -> dict[str, set[str]]:
    details = [json.loads(p.read_text()) for p in (folder.path / "explanations").glob("*.json")]
    return {
        why: {each["file"] for each in details if each["chosen"] == why}
        for why in ("drawn", "error")
    }


def test_the_most_confident_errors_are_explained_beside_the_examples(
    explained: RunFolder,
) -> None:
    cohort = explained.cohort()
    test = cohort[cohort["split"] == "test"]
    predictions = evaluation.read_predictions(explained.path / "predictions-test.csv")
    threshold = explained.bundle().manifest.threshold
    errors = most_confident(evaluation.join(predictions, test), "binary", threshold, 4)
    synthetic = {row["path"] for row in choose(cohort, 2, explained.config.seed)}
    assert len(errors)  # after one epoch it is wrong somewhere
    assert chosen(explained) == {"drawn": synthetic, "error": set(errors["file"]) - synthetic}


def test_the_page_shows_errors_apart_from_examples(explained: RunFolder) -> None:
    page = (explained.path / "report.html").read_text("utf-8")
    start, end = page.index('id="errors"'), page.index('id="examples"')
    for file in chosen(explained)["error"]:
        assert f'for {file}"' in page[start:end] and f'for {file}"' not in page[end:]
    for file in chosen(explained)["drawn"]:
        assert f'for {file}"' in page[end:]


def test_the_cohort_is_shown_in_montages(explained: RunFolder) -> None:
    montages = {path.name for path in (explained.path / "montages").iterdir()}
    assert {"phantoms-covid-19.png", "phantoms-normal.png"} <= montages
    page = (explained.path / "report.html").read_text("utf-8")
    assert page.count("data:image/jpeg;base64,") == sum(
        "duplicates" not in name for name in montages
    )
