"""The model card, and how numbers are written."""

import pytest

from covid_cxr.config import RunConfig
from covid_cxr.report import formatting
from covid_cxr.report.model_card import model_card
from covid_cxr.results.external_validation import ExternalValidationMetrics
from covid_cxr.results.scores import MulticlassScores
from covid_cxr.types import DISCLAIMER
from support import joined_tables as made
from support import results


@pytest.fixture(scope="module")
def metrics():
    return made.metrics()


MANIFEST = results.manifest(
    architecture="efficientnet-lite0",
    training_data=[
        {
            "source": "mila",
            "images": 30,
            "patients": 20,
            "findings": {"covid-19": 20, "normal": 10},
            "licenses": ["CC BY 4.0"],
            "sha256": "0" * 64,
        }
    ],
    licences=["mila: CC BY 4.0"],
)


def test_model_card(metrics):
    config = RunConfig(model="efficientnet-lite0")
    card = model_card(MANIFEST, metrics, config, made.AUDIT)
    assert DISCLAIMER in card
    assert "| Lungs removed | fail | It can: 0.93 <b>. |" in card and "Verdict: **fail**." in card
    slope = metrics.splits["test"].calibration.slope
    assert f"| slope | {slope} | 1 |" in card
    assert "view positions but PA, AP, AP Supine, not stated; patients of a" in card
    assert "| It may be used to diagnose, triage or screen patients. | **no** |" in card
    assert "| mila | 30 | 20 | covid-19 20, normal 10 | CC BY 4.0 |" in card
    assert "Temperature 1.250 and threshold 0.400" in card
    pooled = metrics.splits["test"].pooled.auroc
    assert f"| AUROC | {pooled} | 0.500 |" in card
    assert "| nih |" in card and "- mila: CC BY 4.0" in card and "- size: 224" in card
    for heading in ("Intended use", "Not intended", "Limits", "How to reproduce", "Licence"):
        assert f"## {heading}\n" in card
    assert "\n\n\n" not in card


def test_model_card_without_scores():
    validated = ExternalValidationMetrics(training_overlap=0)
    metrics = results.run_metrics(external_validation=validated)
    card = model_card(results.manifest(), metrics, RunConfig())
    assert "- Nothing was measured." in card and "None was made." in card
    assert "Left out of the cohort" not in card  # the cohort of the training is not this run's
    assert "- CC0\n" in card and "## Scores" not in card


def test_wording():
    assert formatting.interval(results.ESTIMATE) == "0.500 (0.400-0.600)"
    assert formatting.interval(None) == "–"
    nested = {"a": {"b": 1, "c": [1, 2]}, "d": None}
    assert formatting.flat(nested) == {"a.b": "1", "a.c": "1, 2", "d": "–"}
    one, score = MulticlassScores.model_fields, results.ESTIMATE
    by_class = {"auroc": {"normal": score}, "auprc": {"normal": score}}
    multiclass = MulticlassScores(**(dict.fromkeys(one, score) | by_class))
    names = formatting.score_names(results.scores(multiclass=multiclass))
    assert list(names)[:2] == ["auroc", "auprc"]
    assert names["auroc"] == "AUROC"
    assert names["auroc_normal"] == "AUROC, normal against the rest"
