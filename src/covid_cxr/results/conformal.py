"""Coverage of conformal prediction sets."""

from __future__ import annotations

from covid_cxr.results.estimates import Estimate, Record


class ClassCoverage(Record):
    """The share of one class's images whose prediction set holds it."""

    n: int
    coverage: Estimate


class Coverage(Record):
    """Coverage by class, mean size of the sets, and the shares that name none, one or several."""

    n: int
    patients: int
    classes: dict[str, ClassCoverage]
    mean_size: Estimate
    none: Estimate
    one: Estimate
    several: Estimate


class HeldOutCoverage(Coverage):
    """Coverage in one source by cuts from the `calibrated_on` images of the others."""

    calibrated_on: int
    cuts: dict[str, float | None]


class LowestCoverage(Record):
    """The lowest coverage of a class in a held-out source."""

    source: str
    label: str
    value: float


class ConformalLevel(Record):
    """Class-conditional conformal sets at one nominal coverage.

    `cuts` has, by class, the probability from which a set holds it; 0 where it always does.
    """

    level: float
    cuts: dict[str, float | None]
    pooled: Coverage
    per_source: dict[str, Coverage]
    left_out: dict[str, HeldOutCoverage]
    least: LowestCoverage | None


class ConformalMetrics(Record):
    """Conformal sets out of fold, their cuts from the other parts of the patients."""

    parts: int
    by_level: tuple[ConformalLevel, ...]
