"""Numbers of a run: pooled, per source and view, beside the constant prior; and their verdict."""

import numpy as np
import pandas as pd
import pytest

from covid_cxr.evaluation import evaluate
from covid_cxr.metrics import Bootstrap
from covid_cxr.report import verdict
from covid_cxr.results import Estimate, OutOfFoldMetrics, SplitMetrics
from support.results import run_metrics

PRIOR = {"non-covid-19": 0.75, "covid-19": 0.25}
BOOTSTRAP = Bootstrap(100, 1)


def table(rows):
    """Rows of source, patient, finding, view, probability of COVID-19 (None: not answered)."""
    frame = pd.DataFrame(rows, columns=["source", "patient_id", "finding", "view", "p"])
    frame["file"] = frame["path"] = [f"{n}.png" for n in range(len(frame))]
    frame["status"] = np.where(frame["p"].isna(), "abstained", "ok")
    frame["probability_covid-19"] = frame["p"].astype(float)
    frame["probability_non-covid-19"] = 1 - frame["probability_covid-19"]
    return frame


ROWS = [
    ("mila", "m1", "covid-19", "PA", 0.9),
    ("mila", "m1", "covid-19", "AP", 0.6),
    ("mila", "m2", "pneumonia", "PA", 0.7),
    ("mila", "m3", "normal", None, 0.2),
    ("nih", "n1", "normal", "PA", 0.1),
    ("nih", "n2", "normal", "", 0.05),
    ("nih", "n3", "normal", "AP", None),
    ("lost", "l1", "normal", "AP", None),
]


def measure(rows=ROWS, threshold=0.5, **more):
    options = {"task": "binary", "prevalence": PRIOR, "bootstrap": BOOTSTRAP} | more
    return evaluate(table(rows), threshold=threshold, **options)


def test_pooled_by_hand():
    found = measure()
    assert (found.n, found.patients, found.events) == (6, 5, 2)
    assert (found.abstained, found.errors) == (2, 0)
    pooled = found.pooled
    # 8 pairs; 0.6 < 0.7 is the one in the wrong order.
    assert pooled.auroc.value == pytest.approx(7 / 8)
    assert pooled.sensitivity.value == 1
    assert pooled.specificity.value == 0.75
    assert pooled.confusion == ((3, 1), (0, 2))
    # One patient stands behind both events: Clopper-Pearson for 1 of 1.
    assert pooled.sensitivity == Estimate(value=1.0, low=0.025, high=1.0)


def test_constant_prior_by_hand():
    prior = measure().constant_prior
    assert prior.auroc == Estimate(value=0.5, low=0.5, high=0.5)
    assert prior.sensitivity.value == 0 and prior.specificity.value == 1
    assert prior.ppv == Estimate(value=None)
    assert prior.brier.value == pytest.approx((2 * 0.75**2 + 4 * 0.25**2) / 6, abs=1e-6)
    assert prior.confusion == ((4, 0), (2, 0))


def test_per_source_and_view():
    found = measure()
    sources = found.per_source
    assert list(sources) == ["lost", "mila", "nih"]
    assert sources["mila"].auroc.value == pytest.approx(3 / 4)
    assert not sources["mila"].note
    assert sources["nih"].auroc.value is None
    assert sources["nih"].note == "one class only"
    assert sources["nih"].specificity.value == 1 and sources["nih"].abstained == 1
    assert sources["nih"].constant_prior.accuracy.value == 1
    assert (sources["lost"].n, sources["lost"].note) == (0, "no image answered")
    views = found.per_view
    assert {name: block.n for name, block in views.items()} == {
        "AP": 1,
        "PA": 3,
        "not stated": 2,
    }
    assert sum(block.n for block in sources.values()) == found.n


def test_result_is_json_without_nan_and_repeats():
    found = measure()
    assert SplitMetrics.model_validate_json(found.model_dump_json()) == found
    assert found == measure() != measure(bootstrap=Bootstrap(100, 2))


def test_multiclass_scores_covid_against_the_rest_and_each_class():
    frame = table(ROWS[:6])
    p = frame["probability_covid-19"]
    frame = frame.assign(
        **{"probability_normal": 0.75 * (1 - p), "probability_pneumonia": 0.25 * (1 - p)}
    )
    found = evaluate(
        frame,
        task="multiclass",
        threshold=0.5,
        prevalence={"normal": 0.5, "pneumonia": 0.3, "covid-19": 0.2},
        bootstrap=BOOTSTRAP,
    )
    pooled = found.pooled
    assert pooled.auroc == pooled.multiclass.auroc["covid-19"]
    assert pooled.auroc.value == pytest.approx(7 / 8)
    assert pooled.specificity.value == 0.75
    # Most probable: covid (.9, .6, .7) and normal (.2, .1, .05); pneumonia is never called.
    assert pooled.confusion == ((3, 0, 0), (0, 0, 1), (0, 0, 2))
    assert pooled.multiclass.accuracy.value == pytest.approx(5 / 6, abs=1e-6)
    areas = [score.value for score in pooled.multiclass.auroc.values()]
    assert pooled.multiclass.auroc_macro.value == pytest.approx(np.mean(areas), abs=1e-6)
    assert found.constant_prior.multiclass.auroc_macro.value == 0.5


def cohort(seed, mila_gain, mila=200):
    """A source with both classes, read with `mila_gain`, and an easy one without COVID-19."""
    rng = np.random.default_rng(seed)
    rows = []
    for n in range(mila):
        covid = n % 2
        z = mila_gain * (covid - 0.5) + rng.normal() + 1
        rows.append(("mila", f"m{n}", "covid-19" if covid else "pneumonia", "PA", z))
    rows += [("nih", f"n{n}", "normal", "PA", rng.normal() - 4) for n in range(200)]
    return [(*row[:4], 1 / (1 + np.exp(-row[4]))) for row in rows]


def claims(*rows, **more):
    found = measure(*rows)
    return verdict(run_metrics(splits={"test": found}, **more))


def test_verdict_calls_out_a_model_that_reads_the_source():
    found = claims(cohort(0, mila_gain=0.8))
    text = " ".join(found.sentences)
    assert found.warns
    assert "higher than the one inside mila" in text
    assert "one class only: nih (none with COVID-19)" in text
    assert "from 400 images of 400 patients, 100 of them with COVID-19" in text


def test_verdict_accepts_a_model_that_reads_the_disease():
    found = claims(cohort(0, mila_gain=5))
    assert not found.warns
    assert "The score inside mila backs the pooled one." in found.sentences


def test_verdict_warns_of_few_patients():
    found = claims(cohort(3, mila_gain=5, mila=8))
    assert found.warns
    assert any("too few patients" in sentence for sentence in found.sentences)


def test_verdict_prefers_out_of_fold_and_names_the_external():
    weak, strong = measure(cohort(0, mila_gain=0.8)), measure(cohort(0, mila_gain=5))
    found = verdict(
        run_metrics(
            splits={"test": strong, "external": weak},
            out_of_fold=OutOfFoldMetrics(**dict(weak), folds=5, conformal=None),
        )
    )
    assert found.warns
    assert any(
        sentence.startswith("Inside mila alone (out of fold)") for sentence in found.sentences
    )
    assert any("never trained on" in sentence for sentence in found.sentences)


def test_verdict_without_a_two_class_source_or_with_one_source():
    apart = [row if row[0] == "nih" else (*row[:2], "covid-19", *row[3:]) for row in cohort(0, 1)]
    assert "No source holds both classes" in " ".join(claims(apart).sentences)
    alone = claims([row for row in cohort(0, 5) if row[0] == "mila"])
    assert alone.warns and "one source" in alone.sentences[1]
    assert verdict(run_metrics()).claims == ()
    assert verdict(run_metrics()).sentences == ("Nothing was measured.",)


def test_verdict_counts_what_has_no_score():
    assert "Not in any score: 2 of 8 images (2 abstained, 0 unreadable)." in claims(ROWS).sentences


def test_sites_stand_in_for_sources_where_there_is_one():
    rows = [row for row in cohort(0, 5) if row[0] == "mila"]
    table_ = table(rows).assign(site=["north", "north", "south", "south"] * 50)
    options = {"task": "binary", "prevalence": PRIOR, "bootstrap": BOOTSTRAP}
    found = verdict(run_metrics(splits={"test": evaluate(table_, threshold=0.5, **options)}))
    assert not found.warns
    assert found.sentences[1].startswith("Among images of the same site, 2 sites in all, it is")
    assert "The score inside one site backs the pooled one." in found.sentences
    similar = table_.assign(site=np.where(table_["finding"] == "covid-19", "north", "south"))
    apart = verdict(run_metrics(splits={"test": evaluate(similar, threshold=0.5, **options)}))
    assert apart.warns and "one source" in apart.sentences[1]
