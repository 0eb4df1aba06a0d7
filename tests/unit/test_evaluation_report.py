"""Report and card from a run folder, whatever of it is there."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from covid_cxr.config import EvaluationConfig
from covid_cxr.errors import InputError
from covid_cxr.evaluation import evaluate, model_card, wording, write_report
from covid_cxr.types import DISCLAIMER


def joined(n=60, split="test"):
    rng = np.random.default_rng(0)
    covid = np.arange(n) % 2 == 0
    p = np.clip(rng.normal(0.35 + 0.3 * covid, 0.15), 0, 1)
    return pd.DataFrame(
        {
            "file": [f"mila/{split}{i}.png" for i in range(n)],
            "path": [f"mila/{split}{i}.png" for i in range(n)],
            "status": "ok",
            "probability_non-covid-19": 1 - p,
            "probability_covid-19": p,
            "source": np.where(np.arange(n) % 3 == 0, "<b>mila</b>", "nih"),
            "patient_id": [f"p{split}{i // 2}" for i in range(n)],
            "finding": np.where(covid, "covid-19", "normal"),
            "view": "PA",
            "split": split,
        }
    )


@pytest.fixture(scope="module")
def metrics():
    config = EvaluationConfig(bootstrap=100)
    prevalence = {"non-covid-19": 0.5, "covid-19": 0.5}
    options = {"task": "binary", "threshold": 0.5, "prevalence": prevalence, "seed": 1}
    return {
        "task": "binary",
        "classes": ["non-covid-19", "covid-19"],
        "model": "resnet18",
        "bundle": "abc123",
        "threshold": 0.5,
        "temperature": 1.2,
        "command": "covid-cxr run c.yaml --data DATA && echo '<script>'",
        "splits": {"test": evaluate(joined(), config=config, **options)},
        "openings_of_test": ["2025-01-01T00:00:00Z"],
    }


@pytest.fixture
def run(tmp_path, metrics):
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    return tmp_path


def test_metrics_alone_make_a_page(run):
    page = write_report(run)
    assert page == run / "report.html"
    text = page.read_text()
    assert text.count(DISCLAIMER) == 2
    assert "What this allows one to claim" in text
    assert "opened 1 time in" in text
    for absent in (
        "Explained examples",
        "Duplicate images",
        "<svg",
        "Configuration",
        "Out of fold",
    ):
        assert absent not in text


def test_text_from_data_is_escaped(run):
    text = write_report(run).read_text()
    assert "<b>mila</b>" not in text and "&lt;b&gt;mila&lt;/b&gt;" in text
    assert "<script" not in text


def test_every_score_stands_beside_the_constant_prior(run, metrics):
    text = write_report(run).read_text().replace("\u00a0", " ")
    test = metrics["splits"]["test"]
    for key, label in wording.score_names(test["pooled"]).items():
        shown = wording.interval(test["pooled"][key])
        prior = wording.number(test["constant_prior"][key]["value"])
        row = rf'{re.escape(label)}</th><td class="n">{re.escape(shown)}</td><td class="n">{prior}<'
        assert re.search(row, text), key


def test_figures_are_drawn_from_the_predictions_of_the_split(run):
    table = joined()
    table[[c for c in table if c.startswith(("file", "status", "prob"))]].to_csv(
        run / "predictions-test.csv", index=False
    )
    cohort = ["path", "source", "patient_id", "finding", "view", "split"]
    both = pd.concat([table, joined(split="train")])
    both[cohort].to_csv(run / "cohort.csv", index=False)
    text = write_report(run).read_text()
    assert text.count("<svg") == 5
    assert sorted(path.stem for path in (run / "figures").iterdir()) == [
        "confusion",
        "precision-recall",
        "reliability",
        "roc",
        "scores",
    ]
    assert "<td>train</td>" in text  # counts by source and split


def test_explanations_of_one_image_share_a_card(run):
    folder = run / "explanations"
    folder.mkdir()
    for method, fidelity in (("lime", 0.71), ("cam", None)):
        facts = {"method": method, "label": "covid-19", "file": "mila/test0.png"}
        facts |= {
            "truth": "covid-19",
            "probability": 0.9,
            "inside_lungs": 0.63,
            "fidelity": fidelity,
        }
        (folder / f"0-{method}.json").write_text(json.dumps(facts))
        (folder / f"0-{method}.png").write_bytes(b"picture")
    (folder / "1-lime.json").write_text("{}")  # its picture was not made
    text = write_report(run).read_text()
    assert text.count('<article class="card">') == 1
    assert text.count('src="data:image/png;base64,cGljdHVyZQ=="') == 2
    assert "lime for covid-19, probability 0.900 · fidelity 0.710 · 63 % inside the lungs" in text
    assert "cam for covid-19, probability 0.900 · 63 % inside the lungs" in text


def test_long_tables_say_what_they_leave_out(run):
    rows = pd.DataFrame({"duplicate_group": range(25), "path": "x.png"})
    rows.to_csv(run / "duplicates.csv", index=False)
    (run / "attrition.csv").write_text("source,rule,rows\nmila,lateral,7\n")
    text = write_report(run).read_text()
    assert "The first 20 of 25 rows" in text
    assert "<td>lateral</td>" in text


def test_nothing_found_and_an_empty_file(run):
    (run / "duplicates.csv").write_text("duplicate_group,path\n")
    (run / "attrition.csv").write_text("")
    text = write_report(run).read_text()
    assert "None were found." in text and "Left out" not in text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("metrics.json", None, "has no metrics.json"),
        ("config.json", "{", "is not JSON"),
        ("environment.json", "[]", "holds a list"),
        ("attrition.csv", 'a,b\n"x,1\n', "is no CSV table"),
    ],
)
def test_broken_runs_are_named(run, name, content, message):
    (run / name).unlink(missing_ok=True)
    if content is not None:
        (run / name).write_text(content)
    with pytest.raises(InputError, match=message):
        write_report(run)


MANIFEST = {
    "name": "default",
    "id": "abc123",
    "task": "binary",
    "classes": ["non-covid-19", "covid-19"],
    "architecture": "efficientnet-lite0",
    "preprocess": {"size": 224, "remove_markers": True},
    "temperature": 1.25,
    "threshold": 0.4,
    "training_data": [
        {
            "source": "mila",
            "images": 30,
            "patients": 20,
            "findings": {"covid-19": 20, "normal": 10},
            "licenses": ["CC BY 4.0"],
            "sha256": "0" * 64,
        }
    ],
    "licences": {"mila": "CC BY 4.0"},
    "created": "2025-01-01",
    "seed": 7,
    "command": "covid-cxr run c.yaml --data DATA",
}


def test_model_card(metrics):
    card = model_card(MANIFEST, metrics, {"model": "efficientnet-lite0"})
    assert DISCLAIMER in card
    assert "| mila | 30 | 20 | covid-19 20, normal 10 | CC BY 4.0 |" in card
    assert "Temperature 1.250 and threshold 0.400" in card
    pooled = wording.interval(metrics["splits"]["test"]["pooled"]["auroc"])
    assert f"| AUROC | {pooled} | 0.500 |" in card
    assert "| nih |" in card and "- mila: CC BY 4.0" in card and "- size: 224" in card
    for heading in ("Intended use", "Not intended", "Limits", "How to reproduce", "Licence"):
        assert f"## {heading}\n" in card
    assert "\n\n\n" not in card


@pytest.mark.parametrize("licences", ["CC0", ["CC0"], {"nih": "CC0"}])
def test_model_card_without_scores(licences):
    manifest = MANIFEST | {"licences": licences}
    card = model_card(manifest, {"splits": {}}, {"model": "resnet18"})
    assert "- Nothing was measured." in card
    assert "CC0" in card and "## Scores" not in card


def test_wording():
    assert wording.interval({"value": 0.91, "low": 0.8, "high": 0.95}) == "0.910 (0.800 to 0.950)"
    assert wording.interval({"value": 0.91, "low": None, "high": None}) == "0.910"
    assert wording.interval({"value": None, "low": None, "high": None}) == "–"
    assert wording.interval(None) == "–"
    nested = {"a": {"b": 1, "c": [1, 2]}, "d": None}
    assert wording.flat(nested) == {"a.b": "1", "a.c": "1, 2", "d": "–"}
    block = {
        "auroc_normal": {"value": 1},
        "auroc": {"value": 1},
        "constant_prior": {"n": 3},
        "n": 4,
    }
    assert wording.score_names(block) == {
        "auroc": "AUROC",
        "auroc_normal": "AUROC, normal against the rest",
    }


def test_where_the_explanations_lie_is_said_in_a_sentence(run):
    path = run / "metrics.json"
    metrics = json.loads(path.read_text())
    rate = {"value": 0.85, "low": 0.6, "high": 0.95}
    found = {"images": 20, "hits": 17, "hit_rate": rate, "inside_lungs": 0.5}
    metrics["explanations"] = {"cam": found, "lime": {"images": 0}}
    path.write_text(json.dumps(metrics))
    page = write_report(run).read_text()
    assert "CAM: the highest region falls on a true opacity in 17 of 20" in page
    assert "50 % of the attribution lies inside the lungs" in page
    assert "LIME: the highest" not in page


def test_measured_explanations_stand_in_the_report(run):
    score = {"value": 0.5, "low": 0.4, "high": 0.6, "films": 12}
    nothing = {"value": None, "low": None, "high": None, "films": 0}
    found = {
        "explained_class": "covid-19",
        "seconds": {"cam": 0.0123},
        "subsets": {
            "all": {
                "films": 12,
                "patients": 9,
                "methods": {
                    "random": {"auprc": score},
                    "cam": {"peak_hit": score, "gain": nothing},
                },
            }
        },
    }
    (run / "explain-eval").mkdir()
    (run / "explain-eval" / "explain-eval.json").write_text(json.dumps(found))
    page = write_report(run).read_text("utf-8")
    assert "12 films of 9 patients" in page
    rows = re.findall(r'<tr><th scope="row">(cam|random)</th>(.*?)</tr>', page)
    assert [name for name, _ in rows] == ["cam", "random"]  # methods before baselines
    assert "0.500 (0.400 to 0.600)" in rows[0][1]
    assert rows[0][1].endswith('<td class="n">0.012</td>')
    assert rows[1][1].endswith('<td class="n">baseline</td>')
    (run / "explain-eval" / "explain-eval.json").write_text("[]")
    with pytest.raises(InputError, match="expected a JSON object"):
        write_report(run)


def test_the_sentence_of_an_explanation_stands_below_its_picture(run):
    folder = run / "explanations"
    folder.mkdir()
    facts = {"file": "a.png", "method": "cam", "label": "covid-19", "sentence": "Mostly <here>."}
    (folder / "a.json").write_text(json.dumps(facts))
    (folder / "a.png").write_bytes(b"\x89PNG")
    assert "Mostly &lt;here&gt;." in write_report(run).read_text("utf-8")
