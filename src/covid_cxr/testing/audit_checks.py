"""The rules for audit checks, as tests that a plugin can inherit.

    class TestMyCheck(AuditCheckContract):
        check = my_package.CHECK

Each check runs on a tiny cohort of phantoms with the bundle of the package. Run by pytest.
"""

from __future__ import annotations

import atexit
import math
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np
import pytest

from covid_cxr import default_bundle
from covid_cxr.audit.context import AuditContext
from covid_cxr.audit.verdicts import SEVERITY, AuditCheck, verdict_of
from covid_cxr.cohort import build, schema
from covid_cxr.config import RunConfig, load
from covid_cxr.metrics import Interval
from covid_cxr.phantoms import write_cohort
from covid_cxr.results import AuditFinding
from covid_cxr.types import FloatArray

PATIENTS, CELLS = 24, 12


class CellFeatures:
    """In place of a network: the mean of each of 12 x 12 cells of an image."""

    def features(self, images: FloatArray, _: object = None) -> FloatArray:
        """Return (N, 144) for model inputs (N, 1, S, S)."""
        edge = images.shape[-1] // CELLS * CELLS
        cells = images[:, 0, :edge, :edge].reshape(len(images), CELLS, edge // CELLS, CELLS, -1)
        means: FloatArray = cells.mean(axis=(2, 4)).reshape(len(images), -1).astype(np.float32)
        return means


def tiny_config(root: Path) -> RunConfig:
    """Return the config of a run on the phantoms in `root`, with as few repetitions as allowed."""
    config = load(Path(__file__).with_name("tiny.yaml"))
    return config.model_copy(update={"data_root": str(root)})


@cache
def tiny_context() -> AuditContext:
    """Return the context of a run on phantoms, made once a process and deleted at its end."""
    folder = TemporaryDirectory(prefix="covid-cxr-audit-")
    atexit.register(folder.cleanup)
    root, run = Path(folder.name, "phantoms"), Path(folder.name, "run")
    run.mkdir()
    write_cohort(root, patients=PATIENTS, seed=1, duplicates=2)
    config = tiny_config(root)
    build.write(build.build(root, config.cohort, config.seed), run)
    cohort = schema.read(run / "cohort.csv")
    network: Any = CellFeatures()
    return AuditContext(run, config, cohort, default_bundle(), network=network)


class AuditCheckContract:
    """Inherit, name your check `check`, and let pytest collect the class."""

    check: ClassVar[AuditCheck]

    @pytest.fixture
    def context(self) -> AuditContext:
        """The context that the check runs on; override for one of your own."""
        return tiny_context()

    def test_states_what_it_asks(self) -> None:
        """A title, a question and a publication."""
        check = self.check
        assert check.title, "the check has no title"
        assert check.question.endswith("?"), f"question '{check.question}' does not end with '?'"
        assert check.reference, "the check names no publication as reference"

    def test_findings_are_named_once(self, context: AuditContext) -> None:
        """At least one, each with a name of its own and a sentence of one line."""
        findings = _findings(self.check, context)
        names = [finding.name for finding in findings]
        assert names, "the check has 0 findings, expected at least 1"
        assert all(names), f"{names.count('')} of {len(names)} findings have no name"
        assert len(set(names)) == len(names), f"{len(names)} findings have the names {names}"
        for finding in findings:
            sentence = finding.sentence
            is_one = sentence.isprintable() and sentence.endswith(".")
            assert is_one, f"sentence {sentence!r} is not one line that ends with '.'"

    def test_numbers_are_finite_and_ordered(self, context: AuditContext) -> None:
        """None, not NaN, where a number is undefined; the interval contains the value."""
        for finding in _findings(self.check, context):
            low, value, high = finding.low, finding.value, finding.high
            for number in (low, value, high, finding.bound):
                is_number = number is None or math.isfinite(number)
                assert is_number, f"'{finding.name}' has the number {number}; None for undefined"
            if low is not None and value is not None and high is not None:
                assert low <= value <= high, (
                    f"'{finding.name}' is {value:g}, outside its interval {low:g} to {high:g}"
                )

    def test_verdicts_follow_from_the_bounds(self, context: AuditContext) -> None:
        """No finding with a bound is judged more severely than `verdict_of` does."""
        for finding in _findings(self.check, context):
            assert finding.verdict in SEVERITY, f"verdict '{finding.verdict}' is not a verdict"
            if finding.bound is not None:
                numbers = (finding.value, finding.low, finding.high)
                interval = Interval(*(math.nan if n is None else n for n in numbers))
                most_severe = verdict_of(interval, finding.bound, finding.better)
                assert SEVERITY.index(finding.verdict) <= SEVERITY.index(most_severe), (
                    f"'{finding.name}' is {finding.value} ({finding.low} to {finding.high}) with "
                    f"bound {finding.bound:g}: verdict '{finding.verdict}', expected no more than "
                    f"'{most_severe}'"
                )

    def test_same_context_same_findings(self, context: AuditContext) -> None:
        """Two calls agree, and leave the rows as they were."""
        rows = context.rows.copy()
        first, again = _findings(self.check, context), list(self.check.measure(context, "quick"))
        unequal = [a.name for a, b in zip(first, again, strict=False) if a != b]
        assert first == again, f"findings {unequal} differ on a second call"
        assert context.rows.equals(rows), "the check has changed context.rows"

    def test_findings_can_be_written(self, context: AuditContext) -> None:
        """JSON holds all of a finding."""
        for finding in _findings(self.check, context):
            again = AuditFinding.model_validate_json(finding.model_dump_json())
            assert again == finding, f"'{finding.name}' reads back from JSON as {again}"


@cache
def _findings(check: AuditCheck, context: AuditContext) -> list[AuditFinding]:
    return list(check.measure(context, "quick"))
