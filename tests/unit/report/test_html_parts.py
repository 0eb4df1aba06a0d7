"""Parts of a report that a run may have: audit, local acceptance, explanations."""

import json
import re

import pytest

from covid_cxr.config import RunConfig
from covid_cxr.errors import InputError
from covid_cxr.evaluation import TargetPrevalence, conformal_coverage, evaluate, join
from covid_cxr.metrics import Bootstrap
from covid_cxr.report import formatting
from covid_cxr.report.html import write_report
from covid_cxr.results import Estimate, OutOfFoldMetrics
from covid_cxr.results.explanation_benchmark import (
    BenchmarkSettings,
    ExplanationBenchmark,
    OpacityShare,
    Score,
    SubsetScores,
)
from covid_cxr.results.external_validation import (
    ExternalValidationMetrics,
    RecalibrationMetrics,
    RecalibrationScores,
    ThresholdChange,
)
from covid_cxr.results.metrics import PointingMetrics
from covid_cxr.results.scores import Counts
from covid_cxr.types import DISCLAIMER
from support import joined_tables as made
from support.results import changed, run_metrics


@pytest.fixture(scope="module")
def metrics():
    return made.metrics()


@pytest.fixture
def run(tmp_path, metrics):
    metrics.write(tmp_path / "metrics.json")
    return tmp_path


def test_the_audit_stands_on_the_page_and_decides(run):
    assert "The run folder holds no audit" in write_report(run).read_text()
    made.AUDIT.write(run / "audit.json")
    text = write_report(run).read_text()
    assert "1 of 2 checks fails: lungs removed." in text
    assert '<span class="badge fail">fail</span>' in text
    assert "0.930 (0.910-0.950); bound 0.650" in text
    assert "It can: 0.93 &lt;b&gt;." in text and "Few patients." in text
    assert 'class="verdict warning"' in text


def test_external_validation_says_what_it_is(run, metrics):
    score = Estimate(value=0.1, low=0.05, high=0.2)
    names = RecalibrationScores.model_fields.keys() - Counts.model_fields.keys()
    counts = {"n": 60, "patients": 30, "events": 20}
    before = RecalibrationScores(**counts, **dict.fromkeys(names, score))
    after = changed(before, "brier.value", 0.08)
    record = RecalibrationMetrics(
        derived_from="old",
        slope=0.8,
        shift=-1.2,
        threshold=ThresholdChange(before=0.5, after=0.31),
        fit=Counts(n=40, patients=20, events=10),
        share=0.5,
        before=before,
        after=after,
    )
    found = run_metrics(
        splits={"external": metrics.splits["test"]},
        external_validation=ExternalValidationMetrics(training_overlap=3, recalibration=record),
    )
    found.write(run / "metrics.json")
    (run / "config.json").write_text(RunConfig().model_dump_json())  # says nothing of the training
    text = write_report(run).read_text()
    assert "3 images were left out because it had been trained on them" in text
    assert "slope 0.800, shift -1.200; the threshold 0.500 became 0.310" in text
    assert "Calibration slope (1 is right)" in text and "0.080 (0.050-0.200)" in text
    claim = (run / "CLAIM.md").read_text()
    assert "on one hospital's images" in claim
    assert (
        "| 25 | Training: augmentation, hyperparameters, number of models | To be stated" in claim
    )
    tripod = (run / "TRIPOD-AI.md").read_text()
    assert "Brier score before 0.100 (0.050-0.200); after 0.080" in tripod
    rejected = ExternalValidationMetrics(
        training_overlap=3, recalibration_rejected="too few images"
    )
    found.model_copy(update={"external_validation": rejected}).write(run / "metrics.json")
    assert "It was not recalibrated: too few images." in write_report(run).read_text()


def test_a_place_with_another_share_of_covid_has_its_section(run, metrics):
    text = write_report(run).read_text()
    assert 'id="prevalence"' not in text and "asked for" not in text
    test = made.awkward().query("split == 'test'")
    target = TargetPrevalence(0.003, 0.5)
    measured = evaluate(
        join(made.predictions(test), test),
        task="binary",
        threshold=0.5,
        prevalence=made.prevalence(test),
        bootstrap=Bootstrap(100, 1),
        target=target,
    )
    metrics.model_copy(update={"splits": {"test": measured}}).write(run / "metrics.json")
    text = write_report(run).read_text()
    assert '<h2 id="prevalence">Where 0.3 % have COVID-19</h2>' in text
    assert text.count('<span class="sub">asked for</span>') == 1
    assert "calibrated to images of which 50 % do" in text
    found = measured.at_prevalence
    assert f'<td class="n">{found.per_1000.false_positives.value:.1f}<' in text
    for score in (found.ppv, found.npv):
        assert f'<td class="n">{formatting.number(score.value)}<' in text
    for moved in found.probabilities:
        assert f'</th><td class="n">{formatting.number(moved.at_target)}</td>' in text
    assert "spectrum" in text and "the same images are called" in text


def test_conformal_sets_stand_with_what_is_not_promised(run, metrics):
    people = made.cohort(200, split="train")
    people.loc[people["source"] == "nih", "finding"] = "normal"
    options = {"parts": 4, "bootstrap": Bootstrap(100, 1)}
    found = conformal_coverage(join(made.predictions(people), people), people, "binary", **options)
    fold = OutOfFoldMetrics(**dict(metrics.splits["test"]), folds=4, conformal=found)
    metrics.model_copy(update={"out_of_fold": fold}).write(run / "metrics.json")
    text = write_report(run).read_text()
    assert "the other 3 of 4 parts" in text and "<strong>not</strong> promised" in text
    assert text.count("<h4>Promised:") == 2
    assert "covid-19 is always in the set: too few images" not in text
    assert f"images of {found.by_level[0].least.source} would be covered in" in text
    for at in found.by_level:
        for coverage in (at.pooled, *at.per_source.values(), *at.left_out.values()):
            for of_class in coverage.classes.values():
                assert f'<td class="n">{formatting.number(of_class.coverage.value)}<' in text
    assert ">always in the set</span>" in text  # nih alone cannot say where COVID-19 lies


def test_views_and_calibration_stand_source_by_source(run, metrics):
    text = write_report(run).read_text()
    test = metrics.splits["test"]
    for group in (test.pooled, *test.per_source.values()):
        for key in ("auroc", "view_alone", "within", "within_ap", "within_pa"):
            value = getattr(group.views, key).value
            assert f'<td class="n">{formatting.number(value)}<' in text
        alone = f"view alone {formatting.number(group.views.view_alone.value)}<"
        assert alone in text or group is test.pooled
    assert len(test.calibration_by_source) == 2
    for source in test.calibration_by_source.values():
        for score in (source.slope, source.intercept, source.ece):
            assert f'<td class="n">{formatting.number(score.value)}<' in text


def test_a_run_that_states_no_view_has_no_row_for_it(run, metrics):
    blind = changed(metrics, "splits.test.calibration_by_source", {})
    for path in ("pooled", *(f"per_source.{name}" for name in metrics.splits["test"].per_source)):
        blind = changed(blind, f"splits.test.{path}.views", None)
    test = blind.splits["test"]
    fold = OutOfFoldMetrics(**dict(test), folds=5, conformal=None)
    blind.model_copy(update={"out_of_fold": fold}).write(run / "metrics.json")
    text = write_report(run).read_text()
    assert "view alone" not in text and "Source by source" not in text


def test_explanations_of_one_image_share_a_card(run):
    folder = run / "explanations"
    folder.mkdir()
    for method, fidelity in (("lime", 0.71), ("cam", None)):
        details = {"method": method, "label": "covid-19", "file": "mila/test0.png"}
        details |= {
            "truth": "covid-19",
            "probability": 0.9,
            "inside_lungs": 0.63,
            "fidelity": fidelity,
        }
        (folder / f"0-{method}.json").write_text(json.dumps(details))
        (folder / f"0-{method}.png").write_bytes(b"picture")
    (folder / "1-lime.json").write_text("{}")  # its picture was not made
    text = write_report(run).read_text()
    assert text.count('<article class="card">') == 1
    assert text.count('src="data:image/png;base64,cGljdHVyZQ=="') == 2
    assert "lime for covid-19, probability 0.900 · fidelity 0.710 · 63 % inside the lungs" in text
    assert "cam for covid-19, probability 0.900 · 63 % inside the lungs" in text


def test_where_the_explanations_lie_is_said_in_a_sentence(run, metrics):
    rate = Estimate(value=0.85, low=0.6, high=0.95)
    cam = PointingMetrics(images=20, hits=17, hit_rate=rate, inside_lungs=0.5)
    pointing = {"cam": cam, "lime": PointingMetrics(images=0)}
    metrics.model_copy(update={"explanations": pointing}).write(run / "metrics.json")
    page = write_report(run).read_text()
    assert "CAM: the highest region falls on a true opacity in 17 of 20" in page
    assert "50 % of the attribution lies inside the lungs" in page
    assert "LIME: the highest" not in page


def test_measured_explanations_stand_in_the_report(run):
    score = Score(value=0.5, low=0.4, high=0.6, images=12)
    methods = {
        "random": {"auprc": score},
        "cam": {"peak_hit": score, "gain": Score(value=None, images=0)},
    }
    subset = SubsetScores(
        images=12, patients=9, methods=methods, differences={}, beats_all_baselines={}
    )
    settings = dict.fromkeys(BenchmarkSettings.model_fields, 1)
    settings |= {"repeat_samples": (100,), "stages": ("head",), "labels": False}
    benchmark = ExplanationBenchmark(
        run="oof",
        held_out="out of fold, 5 folds",
        explained_class="covid-19",
        command="covid-cxr explain-eval oof",
        date="2026-01-01",
        processors=1,
        methods=("cam",),
        settings=BenchmarkSettings(**settings),
        measured_on={"agreement": 12},
        opacities=OpacityShare(image=0.1, lungs=0.3),
        seconds={"cam": 0.0123},
        rejected={},
        subsets={"all": subset},
        label_randomisation=None,
        disclaimer=DISCLAIMER,
    )
    path = run / "explain-eval" / "explain-eval.json"
    benchmark.write(path)
    page = write_report(run).read_text("utf-8")
    assert "12 images of 9 patients" in page
    rows = re.findall(r'<tr><th scope="row">(cam|random)</th>(.*?)</tr>', page)
    assert [name for name, _ in rows] == ["cam", "random"]  # methods before baselines
    assert "0.500 (0.400-0.600)" in rows[0][1]
    assert rows[0][1].endswith('<td class="n">0.012</td>')
    assert rows[1][1].endswith('<td class="n">baseline</td>')
    path.write_text("[]")
    with pytest.raises(InputError, match=r"is not the explain-eval\.json of this"):
        write_report(run)


def test_the_sentence_of_an_explanation_stands_below_its_picture(run):
    folder = run / "explanations"
    folder.mkdir()
    details = {"file": "a.png", "method": "cam", "label": "covid-19", "sentence": "Mostly <here>."}
    (folder / "a.json").write_text(json.dumps(details))
    (folder / "a.png").write_bytes(b"\x89PNG")
    assert "Mostly &lt;here&gt;." in write_report(run).read_text("utf-8")
