"""Predictions held against the cohort."""

import numpy as np
import pandas as pd
import pytest

from covid_cxr.errors import CohortError, InputError
from covid_cxr.evaluation import cases, join, read_predictions

COHORT = pd.DataFrame(
    {
        "path": ["a.png", "b.png", "c.png", "d.png"],
        "source": ["mila", "mila", "nih", "nih"],
        "patient_id": ["mila-1", "mila-1", "nih-1", "nih-2"],
        "finding": ["covid-19", "pneumonia", "normal", "normal"],
        "view": ["PA", None, "AP", ""],
        "split": "test",
    }
)
CSV = """file,status,message,predicted_class,probability_non-covid-19,probability_covid-19
b.png,ok,,non-covid-19,0.7,0.3
a.png,ok,,covid-19,0.1,0.9
c.png,abstained,,,,
d.png,error,cannot be read,,,
"""


def predictions(tmp_path, text=CSV):
    path = tmp_path / "predictions.csv"
    path.write_text(text)
    return read_predictions(path)


def test_truth_stands_beside_each_prediction(tmp_path):
    table = join(predictions(tmp_path), COHORT)
    assert table["status"].tolist() == ["ok", "ok", "abstained", "error"]
    assert table["finding"].tolist() == ["pneumonia", "covid-19", "normal", "normal"]
    with_scores = cases(table, "binary")
    assert with_scores.labels.tolist() == [0, 1]
    assert with_scores.scores.tolist() == [0.3, 0.9]
    assert with_scores.events.tolist() == [False, True]
    assert with_scores.patients.tolist() == ["mila-1", "mila-1"]
    assert with_scores.both_classes
    assert not with_scores.where(np.array([True, False])).both_classes


def test_multiclass_truth():
    names = ("normal", "pneumonia", "covid-19")
    table = COHORT.assign(file=COHORT["path"], status="ok")
    table = table.assign(**{f"probability_{name}": 0.25 for name in names})
    assert cases(table, "multiclass").labels.tolist() == [2, 1, 0, 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda p, c: (p.iloc[1:], c),
            r"'b.png' is in the cohort but has no prediction.*\(1 such\)",
        ),
        (lambda p, c: (p, c.iloc[1:]), "'a.png' is predicted but not in the cohort"),
        (lambda p, c: (pd.concat([p, p.iloc[:1]]), c), "'b.png' stands twice"),
        (lambda p, c: (p, pd.concat([c, c.iloc[:1]])), "'a.png' stands twice"),
        (lambda p, c: (p, c.assign(finding="todo")), "finding 'todo'.*normal, pneumonia"),
        (lambda p, c: (p, c.assign(finding=None)), r"finding '\(empty\)'"),
        (lambda p, c: (p, c.drop(columns="patient_id")), "cohort has no column 'patient_id'"),
        (lambda p, c: (p.drop(columns="status"), c), "no column 'status'"),
    ],
)
def test_what_cannot_be_held_against_the_truth(tmp_path, change, message):
    with pytest.raises(CohortError, match=message):
        join(*change(predictions(tmp_path), COHORT))


def test_unusable_probabilities(tmp_path):
    table = join(predictions(tmp_path), COHORT)
    with pytest.raises(CohortError, match="no column 'probability_normal'"):
        cases(table, "multiclass")
    for bad in (np.nan, 1.2, -0.1):
        with pytest.raises(InputError, match=r"'b.png' is ok but its probabilities"):
            cases(table.assign(**{"probability_covid-19": [bad, 0.9, None, None]}), "binary")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no CSV table"),
        ("file,x\na,1\n", "has no column 'status'"),
        ("file,status\na,fine\n", "status 'fine', expected ok, abstained or error"),
        ("file,status\na,\n", r"status '\(empty\)'"),
        ('file,status\n"a,ok\n', "is no CSV table"),
    ],
)
def test_what_is_no_predictions_table(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        predictions(tmp_path, text)


def test_no_such_file(tmp_path):
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_predictions(tmp_path / "none.csv")
