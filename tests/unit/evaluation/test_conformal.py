"""Coverage of conformal sets out of fold: nobody on both sides, and a source left out."""

import numpy as np
import pytest

from covid_cxr.cohort.splits.grouped import components
from covid_cxr.evaluation import conformal, conformal_coverage, join
from covid_cxr.metrics import Bootstrap
from covid_cxr.results.conformal import ConformalMetrics, LowestCoverage
from support import joined_tables as made

BOOTSTRAP = Bootstrap(100, 1)


def overview(cohort, predictions=None, parts=5):
    rows = cohort[cohort["split"] == "train"]
    predicted = made.predictions(rows) if predictions is None else predictions
    return conformal_coverage(
        join(predicted, rows), cohort, "binary", parts=parts, bootstrap=BOOTSTRAP
    )


def radiographs(n=400, **more):
    return made.cohort(n, split="train", **more)


def test_every_image_is_counted_once_and_the_promise_is_kept():
    found = overview(radiographs())
    assert [each.level for each in found.by_level] == [0.9, 0.8]
    assert found.parts == 5
    for at in found.by_level:
        pooled = at.pooled
        assert pooled.n == 400 and pooled.patients == 200
        assert sum(each.n for each in pooled.classes.values()) == 400
        for each in pooled.classes.values():
            coverage = each.coverage
            assert abs(coverage.value - at.level) < 0.05
            assert coverage.low < coverage.value < coverage.high
        shares = [getattr(pooled, name).value for name in ("none", "one", "several")]
        assert sum(shares) == pytest.approx(1, abs=1e-5)
        assert pooled.mean_size.value == pytest.approx(shares[1] + 2 * shares[2], abs=1e-5)
        assert sum(block.n for block in at.per_source.values()) == 400
    wide, narrow = found.by_level
    assert wide.pooled.mean_size.value > narrow.pooled.mean_size.value
    assert all(wide.cuts[name] < narrow.cuts[name] for name in wide.cuts)
    assert ConformalMetrics.model_validate_json(found.model_dump_json()) == found


def test_no_patient_and_no_copy_is_on_both_sides(monkeypatch):
    """Calibrating films are known by their scores; a part's components are not among them."""
    cohort = radiographs(120)
    # copies across patients and sources, one of them linked by a row that was left out
    cohort.loc[cohort.index[[0, 21]], "duplicate_group"] = "copy-1"
    cohort.loc[cohort.index[[40, 61]], "duplicate_group"] = "copy-2"
    cohort.loc[cohort.index[61], ["split", "exclusion"]] = "excluded", "a copy"
    rows = cohort[cohort["split"] == "train"]
    predicted = made.predictions(rows)
    # a score of its own for each film
    predicted["probability_covid-19"] = np.linspace(0.01, 0.99, len(rows))
    predicted["probability_non-covid-19"] = 1 - predicted["probability_covid-19"]
    component = components(cohort)[rows.index]
    group = dict(zip(predicted["probability_covid-19"].round(6), component, strict=True))
    recorded = []
    original = conformal.class_quantiles

    def spy(labels, probabilities, level):
        recorded.append({group[round(p, 6)] for p in probabilities[:, 1]})
        return original(labels, probabilities, level)

    monkeypatch.setattr(conformal, "class_quantiles", spy)
    overview(cohort, predicted)
    every = set(group.values())
    # five parts, two sources, and all films for the cuts, at each of two levels
    assert len(recorded) == 2 * (5 + 2 + 1)
    assert sum(calibrating == every for calibrating in recorded) == 2
    parts = [every - calibrating for calibrating in recorded[:5]]
    assert sum(map(len, parts)) == len(every) and set.union(*parts) == every
    for calibrating, source in zip(recorded[5:7], ("mila", "nih"), strict=True):
        own = set(component[rows["source"] == source])
        assert len(own) > 25 and calibrating == every - own


def test_a_source_left_out_is_covered_by_what_others_taught():
    """Where one source's scores are turned lower, the others' quantiles miss its COVID-19."""
    cohort = radiographs()
    predicted = made.predictions(cohort)
    low = cohort["source"].eq("mila").to_numpy()
    p = predicted["probability_covid-19"].to_numpy()
    moved = np.where(low, p / (p + 20 * (1 - p)), p)
    predicted["probability_covid-19"], predicted["probability_non-covid-19"] = moved, 1 - moved
    found = overview(cohort, predicted)
    at = found.by_level[0]
    pooled, left = at.pooled, at.left_out["mila"]
    assert pooled.classes["covid-19"].coverage.value > 0.85
    assert left.classes["covid-19"].coverage.value < 0.5
    assert left.calibrated_on == 200
    assert at.least == LowestCoverage(
        source="mila", label="covid-19", value=left.classes["covid-19"].coverage.value
    )


def test_a_source_of_one_class_gets_only_its_class():
    cohort = radiographs()
    cohort.loc[cohort["source"] == "nih", "finding"] = "normal"
    at = overview(cohort).by_level[0]
    assert set(at.per_source["nih"].classes) == {"non-covid-19"}
    assert set(at.per_source["mila"].classes) == {"non-covid-19", "covid-19"}
    # nih alone cannot say where COVID-19 lies: it is in every set
    assert at.left_out["mila"].cuts["covid-19"] == 0
    assert at.left_out["mila"].classes["covid-19"].coverage.value == 1


def test_a_handful_of_images_is_not_the_worst_of_it():
    cohort = radiographs()
    few = cohort.index[cohort["source"].eq("nih") & cohort["finding"].eq("covid-19")][6:]
    cohort.loc[few, "finding"] = "normal"
    predicted = made.predictions(cohort)
    predicted["probability_covid-19"] = predicted["probability_covid-19"].where(
        ~(cohort["source"].eq("nih") & cohort["finding"].eq("covid-19")).to_numpy(), 0.0
    )
    at = overview(cohort, predicted).by_level[0]
    assert at.left_out["nih"].classes["covid-19"].coverage.value == 0
    assert at.least.value > 0


def test_one_source_has_nothing_left_out_and_unanswered_images_are_not_counted():
    cohort = radiographs(80, sources=("mila",))
    predicted = made.predictions(cohort)
    predicted.loc[:9, "status"] = "abstained"
    at = overview(cohort, predicted, parts=2).by_level[0]
    assert at.left_out == {} and at.least is None
    assert at.pooled.n == 70
    assert overview(cohort, predicted.assign(status="abstained"), parts=2) is None


def test_the_order_of_rows_plays_no_part():
    cohort = radiographs(120)
    predicted = made.predictions(cohort)
    turned = overview(cohort, predicted.iloc[::-1])
    assert turned.by_level[0].pooled.classes == (
        overview(cohort, predicted).by_level[0].pooled.classes
    )
