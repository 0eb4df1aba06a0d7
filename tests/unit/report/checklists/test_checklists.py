"""CLAIM 2024 and TRIPOD+AI: every item once and in order; answers from the run or left open."""

import re
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
from covid_cxr.report import checklists
from covid_cxr.report.checklists import AUTHOR, fill, markdown
from covid_cxr.report.checklists.fill import ANSWERS
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
EMPTY = checklists.Facts(metrics=NOTHING)


@pytest.fixture(scope="module")
def facts():
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
    manifest = {
        "architecture": "resnet18",
        "id": "abc123",
        "classes": ["non-covid-19", "covid-19"],
        "preprocess": {"size": 64, "remove_markers": True, "standardise": False},
        "embedding_size": 512,
        "files": {"model.onnx": "0" * 64},
        "licences": ["weights: research use only"],
        "training_data": [{"source": "mila", "licenses": ["CC0"], "sha256": "1" * 64}],
    }
    return checklists.Facts(
        metrics=metrics,
        config=RunConfig(model="resnet18").model_dump(mode="json"),
        environment={
            "python": "3.12",
            "platform": "Linux",
            "packages": {"numpy": "2.0", "torch": None},
        },
        manifest=manifest,
        cohort=rows,
        account=summarise(rows),
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
    told = {e.answer for checklist in fill(EMPTY) for e in checklist.entries if e.answer}
    numbers = [
        text for text in told if re.search(r"\d", text.replace("COVID-19", "").replace("2.0", ""))
    ]
    assert numbers == []
    assert "Not done: no audit stands in the run folder." in told


def test_what_the_author_must_state_is_left_open(facts):
    claim, tripod = fill(facts)
    left = [entry.number for entry in claim.entries if not entry.answer]
    assert left == ["2", "4", "5", "11", "15", "16", "17", "18", "34", "44"]
    assert all(entry.told == f"{AUTHOR}." for entry in claim.entries if not entry.answer)
    left = [entry.number for entry in tripod.entries if not entry.answer]
    assert " ".join(left) == "2 3a 3c 5b 6c 8b 8c 17 18a 18b 18d 19 27c"


def answer(facts, number, which=0):
    return next(e.told for e in fill(facts)[which].entries if e.number == number)


def test_answers_hold_the_runs_own_numbers(facts):
    assert answer(facts, "1").startswith("Deep learning: the network resnet18")
    assert "Training: 160 images of 80 patients" in answer(facts, "19")
    assert "test: 80 images of 40 patients" in answer(facts, "19")
    assert answer(facts, "24") == "At random."
    assert answer(facts, "23") == "Python 3.12 on Linux; numpy 2.0."
    pooled = facts.metrics.splits["test"].pooled
    assert f"AUROC {pooled.auroc}" in answer(facts, "37")
    missed, alarms = pooled.confusion[1][0], pooled.confusion[0][1]
    assert answer(facts, "39").startswith(
        f"{missed} of 40 images with COVID-19 missed, {alarms} of 40 others called COVID-19."
    )
    assert "a temperature of 1.250" in answer(facts, "13", 1)
    assert "To be stated by the author: what the errors have in common." in answer(facts, "39")
    assert "mila CC0" in answer(facts, "43")


def test_the_audit_answers_where_it_was_made(facts):
    audit = results.audit(
        results.check(name="leak", verdict="pass", sentence="No patient crosses."),
        results.check(name="stability", verdict="warn", sentence="Seeds differ by 0.1."),
    )
    audited = checklists.Facts(metrics=facts.metrics, cohort=facts.cohort, audit=audit)
    assert answer(audited, "20").endswith("Audit: No patient crosses.")
    assert answer(audited, "30") == "Seeds differ by 0.1."


def test_an_unknown_architecture_is_left_to_the_author(facts):
    other = checklists.Facts(metrics=facts.metrics.model_copy(update={"model": "plugin"}))
    assert answer(other, "24") == f"{AUTHOR}."


def test_markdown_is_one_table_row_an_item(facts):
    for checklist, items in zip(fill(facts), (44, 52), strict=True):
        page = markdown(checklist)
        rows = re.findall(r"^\| (\d+[a-g]?) \|", page, re.MULTILINE)
        assert len(rows) == items
        assert all(line.count(" | ") == 2 for line in page.splitlines() if re.match(r"\| \d", line))
        assert "Items are paraphrased" in page and "Research use only" in page
    assert markdown(fill(facts)[0]) == markdown(fill(facts)[0])


def test_a_name_from_the_data_stays_in_its_cell():
    rows = made.cohort(8, sources=("a|b<script>",))
    page = markdown(fill(checklists.Facts(metrics=NOTHING, cohort=rows))[0])
    assert "a\\|b\\<script>" in page


def test_every_answer_is_asked_for():
    import importlib.resources

    import yaml

    asked = set()
    for name in ("claim-2024", "tripod-ai"):
        text = importlib.resources.files(checklists).joinpath(f"{name}.yaml").read_text("utf-8")
        sections = yaml.safe_load(text)["sections"]
        asked |= {e["answer"] for s in sections for e in s["entries"] if "answer" in e}
    assert asked == set(ANSWERS)


def _choices(setting: str) -> tuple[str, ...]:
    return get_args(TrainingConfig.model_fields[setting].annotation)


def _told(config: RunConfig) -> str:
    facts = checklists.Facts(results.run_metrics(), config.model_dump(mode="json"))
    filled = checklists.fill(facts)
    return " ".join(
        entry.answer or "" for each in filled for part in each.sections for entry in part.entries
    )


def test_what_a_closed_form_is_fitted_to_is_told() -> None:
    training = TrainingConfig(method="linear-probe", label_weights={"normal": 0.1})
    told = _told(RunConfig(training=training, augment=AugmentConfig(flip=0.5, jpeg=0.5)))
    assert "mirror images and compressed copies as films of their own" in told
    assert "weight within their class: normal 0.1." in told
    assert "no augmentation, no chance; imbalance class-weights." in _told(
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
    told = _told(RunConfig(training=TrainingConfig.model_validate(asked)))
    assert ("least squares" in told) == (method == "linear-probe")
    assert ("epochs" in told) == (method == "gradient")
    assert imbalance in told


def test_a_recipe_of_the_lungs_is_told() -> None:
    preprocess = PreprocessSpec(lung_margin=0.06, equalise=True)
    config = RunConfig(preprocess=preprocess).model_dump(mode="json")
    for facts, expected in (
        (checklists.Facts(NOTHING, config), True),
        (checklists.Facts(NOTHING, RunConfig().model_dump(mode="json")), False),
    ):
        told = str(checklists.fill(facts))
        assert ("cut to the lungs and 6% of their extent around" in told) == expected
        assert ("contrast equalised tile by tile" in told) == expected
