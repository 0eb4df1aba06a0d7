"""Runs compared: the same images, the same draws, one truth; refusals in one line."""

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from covid_cxr import cli, metrics
from covid_cxr import config as configuration
from covid_cxr.cohort import schema
from covid_cxr.config import EvaluationConfig, RunConfig
from covid_cxr.errors import InputError
from covid_cxr.evaluation.compare import compare, sentences, write_comparison
from covid_cxr.report.figures.comparison import forest


def cohort(images=60, split="test", seed=0):
    rng = np.random.default_rng(seed)
    number = np.arange(images)
    event = number % 3 == 0
    return pd.DataFrame(
        {
            "image_id": [f"i{n:03d}" for n in number],
            "path": [f"films/{n}.png" for n in number],
            "source": np.where(number < 2 * images // 3, "mixed", "plain"),
            "site": "here",
            "patient_id": [f"p{n // 2}" for n in number],
            "finding": np.where(event & (number < 2 * images // 3), "covid-19", "pneumonia"),
            "raw_finding": "",
            "view": "PA",
            "sex": "",
            "age": rng.integers(20, 90, images).astype(float),
            "width": 64,
            "height": 64,
            "license": "",
            "sha256": [f"{n:064x}" for n in number],
            "duplicate_group": "",
            "split": split,
            "exclusion": "",
        }
    )[list(schema.COLUMNS)]


def make_run(path: Path, rows, scores, *, threshold=0.5, split="test", task="binary", status="ok"):
    config = RunConfig(task=task, evaluation=EvaluationConfig(bootstrap=150), seed=5)
    path.mkdir(parents=True)
    (path / "config.json").write_text(configuration.dump(config))
    schema.save(rows, path / "cohort.csv")
    rest = {"binary": ["non-covid-19"], "multiclass": ["normal", "pneumonia"]}[task]
    table = pd.DataFrame({"file": rows["path"], "status": status})
    for name in rest:
        table[f"probability_{name}"] = (1 - scores) / len(rest)
    table["probability_covid-19"] = scores
    table["threshold"] = threshold
    table["model"] = f"bundle-{path.name}"
    table.to_csv(path / f"predictions-{split}.csv", index=False)
    return path


def noisy(rows, amount, seed):
    truth = (rows["finding"] == "covid-19").to_numpy()
    rng = np.random.default_rng(seed)
    return np.round(1 / (1 + np.exp(-(2 * truth - 1 + amount * rng.normal(0, 1, truth.size)))), 6)


@pytest.fixture
def runs(tmp_path):
    rows = cohort()
    better = make_run(tmp_path / "a" / "run", rows, noisy(rows, 0.6, 1), threshold=0.4)
    worse = make_run(tmp_path / "b" / "run", rows, noisy(rows, 3.0, 2), threshold=0.6)
    return [better, worse]


def test_numbers_are_those_of_the_metrics(runs):
    rows = cohort()
    truth, patients = rows["finding"] == "covid-19", rows["patient_id"]
    a, b = noisy(rows, 0.6, 1), noisy(rows, 3.0, 2)
    found = compare(runs)
    assert [run["name"] for run in found["runs"]] == ["a/run", "b/run"]
    assert (found["n_resamples"], found["seed"]) == (150, 5)  # of the first run's configuration
    pooled = found["groups"]["pooled"]
    assert (pooled["n"], pooled["patients"], pooled["events"]) == (60, 30, 14)
    for name, scores, threshold in (("a/run", a, 0.4), ("b/run", b, 0.6)):
        plain = {k: v[0] for k, v in metrics.binary_scores(truth, scores, threshold).items()}
        for score in ("auroc", "sensitivity", "specificity", "brier"):
            assert pooled["runs"][name][score]["value"] == pytest.approx(plain[score], abs=1e-6)
    gap = pooled["differences"]["b/run"]
    assert set(pooled["differences"]) == {"b/run"}
    expected = metrics.clustered_difference(truth, b, a, patients)
    assert gap["auroc_delong"] == pytest.approx(expected._asdict(), abs=1e-6)
    pair = metrics.Bootstrap(150, 5).paired_intervals(
        lambda w: metrics.binary_scores(truth, b, 0.6, w),
        lambda w: metrics.binary_scores(truth, a, 0.4, w),
        patients,
    )
    for score in ("auroc", "sensitivity", "specificity", "brier"):
        assert gap[score] == pytest.approx(pair[score].difference._asdict(), abs=1e-6)
    assert gap["auroc"]["high"] < 0
    assert "the AUROC of b/run is lower than that of a/run" in sentences(found)[0]


def test_inside_a_source_and_where_a_source_has_one_class(runs):
    groups = compare(runs)["groups"]
    assert list(groups) == ["pooled", "inside mixed", "inside plain"]
    rows = cohort()
    inside = rows["source"] == "mixed"
    area = metrics.auroc(rows["finding"][inside] == "covid-19", noisy(rows, 3.0, 2)[inside])
    assert groups["inside mixed"]["runs"]["b/run"]["auroc"]["value"] == pytest.approx(area)
    plain = groups["inside plain"]
    assert plain["runs"]["a/run"]["auroc"]["value"] is None
    assert plain["runs"]["a/run"]["specificity"]["value"] is not None
    assert "Inside plain: one class only, so no AUROC to compare." in sentences(compare(runs))


def test_only_images_that_all_answered(tmp_path):
    rows = cohort()
    a = make_run(tmp_path / "a", rows, noisy(rows, 1, 1))
    status = np.where(np.arange(55) < 5, "abstained", "ok")
    fewer = rows.iloc[5:].reset_index(drop=True)
    b = make_run(tmp_path / "b", fewer, noisy(fewer, 1, 2), status=status)
    shuffled = rows.sample(frac=1, random_state=1).reset_index(drop=True)
    c = make_run(tmp_path / "c", shuffled, noisy(rows, 1, 1)[shuffled.index])
    found = compare([a, b, c])
    assert found["groups"]["pooled"]["n"] == 50
    assert [run["asked"] for run in found["runs"]] == [60, 55, 60]
    assert "2 runs were held against a" in sentences(found)[-1]


def test_the_same_ranking_is_called_the_same(tmp_path):
    rows = cohort()
    a = make_run(tmp_path / "a", rows, noisy(rows, 1, 1))
    b = make_run(tmp_path / "b", rows, noisy(rows, 1, 1) ** 2)
    found = compare([a, b])
    assert sentences(found)[0] == "Pooled: b and a rank these images alike."
    gap = found["groups"]["pooled"]["differences"]["b"]
    assert gap["auroc_delong"] == {"value": 0, "low": 0, "high": 0, "p": 1}
    assert gap["brier"]["value"] != 0


def test_the_order_of_rows_plays_no_part(tmp_path, runs):
    rows = cohort()
    order = np.random.default_rng(0).permutation(len(rows))
    turned = make_run(
        tmp_path / "c" / "run",
        rows.iloc[order].reset_index(drop=True),
        noisy(rows, 3.0, 2)[order],
        threshold=0.6,
    )
    one, two = compare(runs), compare([runs[0], turned])
    pair = (one["groups"]["pooled"]["differences"], two["groups"]["pooled"]["differences"])
    assert pair[0]["b/run"] == pair[1]["c/run"]


def test_each_fold_has_its_own_threshold(tmp_path):
    rows = cohort(split="train")
    first = noisy(rows, 1, 1)
    folds = np.where(np.arange(60) < 30, 0.2, 0.9)
    a = make_run(tmp_path / "a", rows, first, split="oof", threshold=folds)
    b = make_run(tmp_path / "b", rows, noisy(rows, 1, 2), split="oof")
    found = compare([a, b], "oof")["groups"]["pooled"]["runs"]["a"]
    truth = rows["finding"] == "covid-19"
    assert found["sensitivity"]["value"] == pytest.approx((first >= folds)[truth].mean(), abs=1e-6)


def test_what_cannot_be_compared_is_refused_in_one_line(tmp_path, runs):
    rows = cohort()
    multi = make_run(tmp_path / "multi", rows, noisy(rows, 1, 1), task="multiclass")
    renamed = rows.assign(image_id=[f"other-{n}" for n in rows["image_id"]])
    apart = make_run(tmp_path / "apart", renamed, noisy(rows, 1, 1))
    turned = rows.assign(finding=["covid-19", *rows["finding"][1:-1], "covid-19"])
    truth = make_run(tmp_path / "truth", turned, noisy(rows, 1, 1))
    moved = rows.assign(patient_id=["p99", "p99", *rows["patient_id"][2:]])
    patient = make_run(tmp_path / "patient", moved, noisy(rows, 1, 1))
    validation = make_run(
        tmp_path / "val", rows.assign(split="val"), noisy(rows, 1, 1), split="val"
    )
    refused = {
        "two run folders or more": runs[:1],
        "is named twice": [runs[0], runs[0]],
        "is binary and .* is multiclass": [runs[0], multi],
        "no image of split test in common": [runs[0], apart],
        "truth of image 'i059' is 'non-covid-19' in .* and 'covid-19'": [runs[0], truth],
        "patient of image 'i000' is 'p0' in .* and 'p99'": [runs[0], patient],
        r"has no predictions-test\.csv: choose --split val": [runs[0], validation],
        "is no run folder": [runs[0], tmp_path / "none"],
    }
    for message, paths in refused.items():
        with pytest.raises(InputError, match=message) as caught:
            compare(paths)
        assert "\n" not in str(caught.value)


def test_what_is_written(runs, tmp_path):
    found = compare(runs)
    page = write_comparison(found, tmp_path / "out")
    assert {path.name for path in page.parent.iterdir()} == {
        *("compare.html", "compare.csv", "compare.json", "compare.svg")
    }
    assert json.loads((page.parent / "compare.json").read_text()) == found
    rows = list(csv.DictReader((page.parent / "compare.csv").read_text().splitlines()))
    assert len(rows) == 3 * 2 * 5  # groups, runs, scores
    row = next(r for r in rows if r["run"] == "b/run" and r["score"] == "auroc_delong")
    gap = found["groups"]["pooled"]["differences"]["b/run"]["auroc_delong"]
    assert float(row["difference"]) == gap["value"]
    assert float(row["p"]) == gap["p"]
    html = page.read_text()
    assert (
        "<svg" in html
        and "a/run · b/run" in html
        and "http" not in html.replace("http://www.w3.org", "").replace("http-equiv", "")
    )
    assert "Not a medical device" in html


def test_the_figure_says_its_numbers_in_words(runs):
    found = compare(runs)
    svg = forest(found)
    value = found["groups"]["pooled"]["runs"]["a/run"]["auroc"]["value"]
    assert f"pooled, a/run: AUROC {value:.3f}" in svg
    assert 'role="img"' in svg and "<title" in svg


def test_one_class_only_has_no_figure(tmp_path):
    rows = cohort().assign(finding="normal")
    runs = [make_run(tmp_path / name, rows, noisy(rows, 1, seed)) for seed, name in enumerate("ab")]
    page = write_comparison(compare(runs), tmp_path / "out")
    assert "<svg" not in page.read_text() and not (tmp_path / "out" / "compare.svg").exists()
    assert "one class only" in page.read_text()


def test_names_with_markup_are_shown_as_they_are(tmp_path, capsys):
    rows = cohort()
    a = make_run(tmp_path / "a[b]", rows, noisy(rows, 1, 1))
    b = make_run(tmp_path / "<i>&", rows, noisy(rows, 1, 2))
    page = write_comparison(compare([a, b]), tmp_path / "out")
    assert "&lt;i&gt;&amp;" in page.read_text() and "<i>" not in page.read_text()
    assert cli.run(["compare", str(a), str(b)]) == 0
    assert "a[b]" in capsys.readouterr().out


def test_the_command(runs, tmp_path, capsys):
    words = ["compare", *map(str, runs)]
    assert cli.run([*words, "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    assert "pooled: 60 images, 14 with COVID-19" in shown and "compare.html" in shown
    assert max(map(len, shown.split("Page:")[0].splitlines())) <= 80
    assert cli.run([*words, "--json", "--seed", "9"]) == 0
    assert json.loads(capsys.readouterr().out)["seed"] == 9
    assert cli.run(["compare", str(runs[0])]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "two run folders or more" in err
