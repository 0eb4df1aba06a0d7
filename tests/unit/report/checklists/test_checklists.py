"""CLAIM 2024 and TRIPOD+AI: every item once and in order; answers from the run or left open."""

import re
from pathlib import Path
from typing import get_args

import pandas as pd
import pytest

from covid_cxr.cohort.summary.summary import summarise
from covid_cxr.config import (
    AugmentConfig,
    PreprocessSpec,
    RunConfig,
    TrainingConfig,
)
from covid_cxr.evaluation import evaluate, join
from covid_cxr.metrics import Bootstrap
from covid_cxr.report import checklists, formatting
from covid_cxr.report.checklists import AUTHOR, fill, markdown
from covid_cxr.report.checklists.fill import NAMES, read
from covid_cxr.report.record import RunRecord
from covid_cxr.results.metrics import SplitUse
from support import joined_tables as made
from support import results

# Collins et al. 2024: 27 items, these of them in parts.
PARTS = {3: 3, 5: 2, 6: 3, 8: 3, 9: 3, 12: 7, 18: 6, 20: 3, 23: 2, 27: 3}
NOTHING = results.run_metrics(
    model="network",
    classes=("one", "other"),
    bundle=None,
    threshold=None,
    temperature=None,
    command="covid-cxr train",
)
EMPTY = RunRecord(metrics=NOTHING)


@pytest.fixture(scope="module")
def run():
    rows = pd.concat([made.cohort(160, split="train"), made.cohort(80)], ignore_index=True)
    test = rows[rows["split"] == "test"]
    measured = evaluate(
        join(made.predictions(test), test),
        task="binary",
        threshold=0.5,
        prevalence=made.prevalence(rows),
        bootstrap=Bootstrap(100, 1),
    )
    metrics = results.run_metrics(
        temperature=1.25,
        splits={"test": measured},
        test_evaluations=(SplitUse(time="2026-01-31 12:00 UTC", bundle="abc123"),),
    )
    source = {"source": "mila", "images": 1, "patients": 1, "findings": {}, "licenses": ["CC0"]}
    manifest = results.manifest(
        preprocess={"size": 64, "remove_markers": True, "standardise": False},
        licences=["weights: research use only"],
        training_data=[source | {"sha256": "1" * 64}],
    )
    return RunRecord(
        metrics=metrics,
        config=RunConfig(model="resnet18"),
        environment={
            "python": "3.12",
            "platform": "Linux",
            "packages": {"numpy": "2.0", "torch": None},
        },
        manifest=manifest,
        cohort=rows,
        summary=summarise(rows),
    )


def test_claim_has_its_44_items_and_tripod_its_27_in_52_parts():
    claim, tripod = fill(EMPTY)
    assert [entry.number for entry in claim.entries] == [str(n) for n in range(1, 45)]
    wanted = [
        f"{n}{letter}"
        for n in range(1, 28)
        for letter in ("abcdefg"[: PARTS[n]] if n in PARTS else [""])
    ]
    assert [entry.number for entry in tripod.entries] == wanted
    assert len(wanted) == 52


def test_nothing_is_invented_where_nothing_is_known():
    """Only what holds of the software whatever the run may be said of an empty run."""
    answers = {e.answer for checklist in fill(EMPTY) for e in checklist.entries if e.answer}
    numbers = [
        text
        for text in answers
        if re.search(r"\d", text.replace("COVID-19", "").replace("2.0", ""))
    ]
    assert numbers == []
    assert "Not done: the run folder holds no audit." in answers


def test_what_the_author_must_state_is_left_open(run):
    claim, tripod = fill(run)
    left = [entry.number for entry in claim.entries if not entry.answer]
    assert left == ["2", "4", "5", "11", "15", "16", "17", "18", "34", "44"]
    assert all(entry.statement == f"{AUTHOR}." for entry in claim.entries if not entry.answer)
    left = [entry.number for entry in tripod.entries if not entry.answer]
    assert " ".join(left) == "2 3a 3c 5b 6c 8b 8c 17 18a 18b 18d 19 27c"


def answer(run, number, which=0):
    return next(e.statement for e in fill(run)[which].entries if e.number == number)


def test_answers_hold_the_runs_own_numbers(run):
    assert answer(run, "1").startswith("Deep learning: the network resnet18")
    assert "Training: 160 images of 80 patients" in answer(run, "19")
    assert "test: 80 images of 40 patients" in answer(run, "19")
    assert answer(run, "24") == "At random."
    assert answer(run, "23") == "Python 3.12 on Linux; numpy 2.0."
    pooled = run.metrics.splits["test"].pooled
    assert f"AUROC {pooled.auroc}" in answer(run, "37")
    missed, alarms = pooled.confusion[1][0], pooled.confusion[0][1]
    assert answer(run, "39").startswith(
        f"{missed} of 40 images with COVID-19 missed, {alarms} of 40 others called COVID-19."
    )
    assert "a temperature of 1.250" in answer(run, "13", 1)
    assert "To be stated by the author: what the errors have in common." in answer(run, "39")
    assert "mila CC0" in answer(run, "43")


def test_the_audit_answers_where_it_was_made(run):
    audit = results.audit(
        results.check(name="leak", verdict="pass", sentence="No patient crosses."),
        results.check(name="stability", verdict="warn", sentence="Seeds differ by 0.1."),
    )
    audited = RunRecord(metrics=run.metrics, cohort=run.cohort, audit=audit)
    assert answer(audited, "20").endswith("Audit: No patient crosses.")
    assert answer(audited, "30") == "Seeds differ by 0.1."


def test_an_unknown_architecture_is_left_to_the_author(run):
    other = RunRecord(metrics=run.metrics.model_copy(update={"model": "plugin"}))
    assert answer(other, "24") == f"{AUTHOR}."


def test_markdown_is_one_table_row_an_item(run):
    for checklist, items in zip(fill(run), (44, 52), strict=True):
        page = markdown(checklist)
        rows = re.findall(r"^\| (\d+[a-g]?) \|", page, re.MULTILINE)
        assert len(rows) == items
        assert all(line.count(" | ") == 2 for line in page.splitlines() if re.match(r"\| \d", line))
        assert "Items are paraphrased" in page and "Research use only" in page
    assert markdown(fill(run)[0]) == markdown(fill(run)[0])


def test_a_name_from_the_data_stays_in_its_cell():
    rows = made.cohort(8, sources=("a|b<script>",))
    page = markdown(fill(RunRecord(metrics=NOTHING, cohort=rows))[0])
    assert "a\\|b\\<script>" in page


def test_every_answer_is_asked_for():
    requested = {entry.answer for name in NAMES for entry in read(name).entries} - {""}
    answers = formatting.templates().get_template("answers.j2")
    written = re.findall(r"macro ([a-z]\w*)\(", Path(answers.filename).read_text("utf-8"))
    assert requested == set(written) and len(written) == len(set(written))


def _choices(setting: str) -> tuple[str, ...]:
    return get_args(TrainingConfig.model_fields[setting].annotation)


def _answers(config: RunConfig) -> str:
    run = RunRecord(results.run_metrics(), config)
    filled = checklists.fill(run)
    return " ".join(
        entry.answer or "" for each in filled for part in each.sections for entry in part.entries
    )


def test_what_a_linear_probe_is_fitted_to_is_stated() -> None:
    training = TrainingConfig(method="linear-probe", label_weights={"normal": 0.1})
    answers = _answers(RunConfig(training=training, augment=AugmentConfig(flip=0.5, jpeg=0.5)))
    assert "mirror images and compressed copies as images of their own" in answers
    assert "weight within their class: normal 0.1." in answers
    assert "no augmentation, deterministic; imbalance class-weights." in _answers(
        RunConfig(
            training=TrainingConfig(method="linear-probe"), augment=AugmentConfig(flip=0, jpeg=0)
        )
    )


@pytest.mark.parametrize("method", _choices("method"))
@pytest.mark.parametrize("imbalance", _choices("imbalance"))
def test_every_way_to_train_has_words(method: str, imbalance: str) -> None:
    asked = {"method": method, "imbalance": imbalance}
    if method == "linear-probe" and imbalance in ("oversample", "focal"):
        with pytest.raises(ValueError, match=f"imbalance '{imbalance}' with method 'linear-probe'"):
            TrainingConfig.model_validate(asked)
        return
    answers = _answers(RunConfig(training=TrainingConfig.model_validate(asked)))
    assert ("least squares" in answers) == (method == "linear-probe")
    assert ("epochs" in answers) == (method == "gradient")
    assert imbalance in answers


def test_a_recipe_of_the_lungs_is_stated() -> None:
    preprocess = PreprocessSpec(lung_margin=0.06, equalise=True)
    config = RunConfig(preprocess=preprocess)
    for run, expected in (
        (RunRecord(NOTHING, config), True),
        (RunRecord(NOTHING, RunConfig()), False),
    ):
        answers = str(checklists.fill(run))
        assert ("cut to the lungs and 6% of their extent around" in answers) == expected
        assert ("contrast equalised tile by tile" in answers) == expected
