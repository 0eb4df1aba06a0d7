"""Scores of one forecast: of all images, of a group, of the images of known view."""

from __future__ import annotations

from covid_cxr.results.estimates import Estimate, Record

# With fewer images with or without COVID-19 a score says next to nothing, whatever its interval.
FEW = 10
SCORES = (
    *("auroc", "auprc", "sensitivity", "specificity", "ppv", "npv"),
    *("f1", "accuracy", "brier", "log_loss"),
)
Confusion = tuple[tuple[int, ...], ...]


class Counts(Record):
    """How many images, patients, and images with COVID-19 (events) numbers rest on."""

    n: int
    patients: int
    events: int

    @property
    def rarer(self) -> int:
        """Images of the rarer class."""
        return min(self.events, self.n - self.events)

    @property
    def is_small(self) -> bool:
        """Whether there are fewer than `FEW` images with, or without, COVID-19."""
        return self.rarer < FEW

    @property
    def note(self) -> str:
        """Why ranks are undefined here; "" where they are not."""
        if self.rarer:
            return ""
        return "one class only" if self.n else "no image answered"


class Unanswered(Record):
    """How many images have no probability: the system abstained, or could not read the file."""

    abstained: int
    errors: int


class MulticlassScores(Record):
    """Scores of the multiclass task beside those of COVID-19 against the rest.

    `auroc` and `auprc` are by class, one against the rest; accuracy is that of the most probable
    class.
    """

    auroc: dict[str, Estimate]
    auprc: dict[str, Estimate]
    auroc_macro: Estimate
    auprc_macro: Estimate
    accuracy: Estimate
    brier: Estimate
    log_loss: Estimate


class Scores(Counts):
    """The scores of one forecast on one group of images; the event is COVID-19.

    `confusion` has a row for each true class, a column for each class answered.
    """

    auroc: Estimate
    auprc: Estimate
    sensitivity: Estimate
    specificity: Estimate
    ppv: Estimate
    npv: Estimate
    f1: Estimate
    accuracy: Estimate
    brier: Estimate
    log_loss: Estimate
    multiclass: MulticlassScores | None = None
    confusion: Confusion

    def named(self) -> dict[str, Estimate]:
        """Return every score by its name, those of the multiclass task after the others."""
        scores: dict[str, Estimate] = {name: getattr(self, name) for name in SCORES}
        if self.multiclass is None:
            return scores
        more = self.multiclass
        return scores | {
            **{f"auroc_{name}": score for name, score in more.auroc.items()},
            **{f"auprc_{name}": score for name, score in more.auprc.items()},
            "auroc_macro": more.auroc_macro,
            "auprc_macro": more.auprc_macro,
            "multiclass_accuracy": more.accuracy,
            "multiclass_brier": more.brier,
            "multiclass_log_loss": more.log_loss,
        }


class PairedWithinGroups(Estimate):
    """AUROC over pairs of images of the same group, of `groups` with both classes."""

    groups: int
    pairs: int


class ViewMetrics(Record):
    """AUROC with the view position held fixed, on the images that state it.

    `view_alone` is that of the view as the forecast; `within` is over pairs of images of one view,
    None where there are no two views or no view has both classes.
    """

    n: int
    events: int
    ap: int
    pa: int
    auroc: Estimate
    view_alone: Estimate
    within_ap: Estimate
    within_pa: Estimate
    within: PairedWithinGroups | None


class PooledMetrics(Scores):
    """The scores of all images, and by view; None where no image states its view."""

    views: ViewMetrics | None = None


class SubgroupMetrics(PooledMetrics, Unanswered):
    """The scores of one group, those of a constant forecast, and the images without an answer."""

    constant_prior: Scores
