"""Results are strict records; their schemas are committed; numbers format themselves in one way."""

import json
import math
from pathlib import Path

import pytest
from pydantic import ValidationError

from covid_cxr.errors import InputError
from covid_cxr.results import FILES, AuditFinding, AuditResult, Estimate, RunMetrics

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"
MINIMAL = {
    "task": "binary",
    "classes": ["non-covid-19", "covid-19"],
    "model": "resnet18",
    "command": "covid-cxr train c.yaml",
}


@pytest.mark.parametrize("file", FILES)
def test_the_committed_schema_is_that_of_the_record(file):
    path = REFERENCE / file.replace(".json", ".schema.json")
    assert path.read_text() == FILES[file].json_schema(), f"write {path.name} anew: scripts/schemas"


def test_undefined_numbers_are_none_and_others_rounded():
    assert Estimate.of(0.1234567, math.nan, math.inf) == Estimate(value=0.123457)
    assert Estimate.of(math.nan).value is None


@pytest.mark.parametrize(
    ("estimate", "options", "text"),
    [
        (Estimate(value=0.931, low=0.9, high=0.957), {"digits": 2}, "0.93 (0.90-0.96)"),
        (Estimate(value=0.931, low=0.9, high=0.957), {}, "0.931 (0.900-0.957)"),
        (Estimate(value=-0.02, low=-0.1, high=0.05), {"digits": 2}, "-0.02 (-0.10 to 0.05)"),
        (Estimate(value=0.02, low=0.01, high=0.05), {"signed": True}, "+0.020 (+0.010 to +0.050)"),
        (Estimate(value=0.5), {}, "0.500"),
        (Estimate(value=0.5, low=0.4), {}, "0.500"),
        (Estimate(value=None), {}, "–"),
    ],
)
def test_an_estimate_formats_itself(estimate, options, text):
    assert estimate.format(**options) == text
    if not options:
        assert str(estimate) == text


def test_a_finding_is_an_estimate():
    finding = AuditFinding(name="a", verdict="info", sentence="A.", value=0.5, low=0.4, high=0.6)
    assert finding.format(1) == "0.5 (0.4-0.6)"


@pytest.mark.parametrize("value", [math.nan, math.inf, "0.5", True])
def test_a_number_must_be_a_finite_number(value):
    with pytest.raises(ValidationError):
        Estimate(value=value)


def test_a_file_is_read_as_it_was_written(tmp_path):
    metrics = RunMetrics.model_validate_json(json.dumps(MINIMAL))
    metrics.write(tmp_path / "metrics.json")
    assert RunMetrics.read(tmp_path / "metrics.json") == metrics
    assert metrics.primary is None and metrics.headline is None


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{", "Invalid JSON"),
        ("[]", "object"),
        (json.dumps(MINIMAL | {"task": "triage"}), "task"),
        (json.dumps(MINIMAL | {"speed": 3}), "speed"),
        (json.dumps({**MINIMAL, "threshold": "0.5"}), "threshold"),
    ],
)
def test_a_file_that_holds_something_else_is_rejected(tmp_path, text, named):
    path = tmp_path / "metrics.json"
    path.write_text(text)
    with pytest.raises(InputError, match=named):
        RunMetrics.read(path)
    with pytest.raises(InputError, match="cannot be read"):
        AuditResult.read(tmp_path / "audit.json")
