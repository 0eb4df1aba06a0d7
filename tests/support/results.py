"""Result records with plain values where a test does not care."""

import json

from covid_cxr.models.manifest import Manifest
from covid_cxr.results import (
    AuditFinding,
    AuditResult,
    CheckResult,
    Estimate,
    RunMetrics,
    SplitMetrics,
)
from covid_cxr.results.scores import SCORES, PooledMetrics, Scores, SubgroupMetrics

ESTIMATE = Estimate(value=0.5, low=0.4, high=0.6)


def run_metrics(**fields):
    """`metrics.json` of a binary run."""
    plain = {
        "task": "binary",
        "classes": ("non-covid-19", "covid-19"),
        "model": "resnet18",
        "bundle": "abc123",
        "threshold": 0.5,
        "temperature": 1.2,
        "command": "covid-cxr run c.yaml --data DATA",
    }
    return RunMetrics(**(plain | fields))


def scores(record=Scores, **fields):
    """The scores of one group, all alike but for `fields`."""
    n, events = fields.get("n", 200), fields.get("events", 100)
    plain = {"n": n, "patients": n, "events": events, "confusion": ((n - events, 0), (0, events))}
    return record(**(plain | dict.fromkeys(SCORES, ESTIMATE) | fields))


def subgroup(**fields):
    """The scores of one group beside those of a constant prior."""
    plain = {"abstained": 0, "errors": 0, "constant_prior": scores()}
    return scores(SubgroupMetrics, **(plain | fields))


def split_metrics(**fields):
    """The metrics of one split without groups, calibration and thresholds."""
    n, events = fields.get("n", 200), fields.get("events", 100)
    plain = {
        "n": n,
        "patients": n,
        "events": events,
        "abstained": 0,
        "errors": 0,
        "threshold": 0.5,
        "pooled": scores(PooledMetrics, n=n, events=events),
        "constant_prior": scores(n=n, events=events),
        **{f"per_{kind}": {} for kind in ("source", "site", "view", "sex", "age_band")},
        "within": {},
        "calibration": None,
        "calibration_by_source": {},
        "thresholds": (),
        "decision": None,
    }
    return SplitMetrics(**(plain | fields))


def finding(**fields):
    """A finding that is beyond its bound."""
    plain = {"name": "lungs removed", "verdict": "fail", "sentence": "It can.", "bound": 0.65}
    return AuditFinding(**(plain | {"value": 0.93, "low": 0.91, "high": 0.95} | fields))


def check(**fields):
    """A check with one finding."""
    plain = {
        "name": "lungs-removed",
        "number": 3,
        "title": "Lungs removed",
        "question": "Can COVID-19 be told when the lungs are painted over?",
        "reference": "Maguolo and Nanni",
        "verdict": "fail",
        "sentence": "It can.",
        "seconds": 1.0,
        "findings": (finding(),),
    }
    return CheckResult(**(plain | fields))


def audit(*checks, **fields):
    """`audit.json` with some checks."""
    plain = {
        "format": 1,
        "budget": "quick",
        "bundle": "abc123",
        "created": "2026-01-31 12:00 UTC",
        "images": 60,
        "patients": 30,
        "events": 30,
        "verdict": "fail",
        "summary": "1 of 2 checks fails: lungs removed.",
        "checks": checks or (check(),),
    }
    return AuditResult(**(plain | fields))


def changed(record, path, value):
    """The record with another value at a path such as "pooled.auroc"; None removes a section."""
    fields = json.loads(record.model_dump_json())
    *parents, leaf = path.split(".")
    inner = fields
    for key in parents:
        inner = inner[key]
    inner[leaf] = json.loads(value.model_dump_json()) if hasattr(value, "model_dump") else value
    return type(record).model_validate_json(json.dumps(fields))


def manifest(**fields):
    """The manifest of a binary bundle, of no training data and no files that exist."""
    plain = {
        "format_version": 1,
        "id": "abc123",
        "name": "default",
        "task": "binary",
        "classes": ["non-covid-19", "covid-19"],
        "architecture": "resnet18",
        "has_cam": True,
        "embedding_size": 512,
        "preprocess": {"size": 224},
        "temperature": 1.25,
        "threshold": 0.4,
        "seed": 7,
        "created": "2026-01-31",
        "command": "covid-cxr run c.yaml --data DATA",
        "licences": ["CC0"],
        "training_data": [],
        "metrics": {},
        "files": {"model.onnx": "0" * 64},
    }
    return Manifest.model_validate(plain | fields)
