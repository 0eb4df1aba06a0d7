"""Scores, intervals, calibration and operating points: NumPy and SciPy only.

Throughout, N is the number of cases, C of classes, D of case weightings (bootstrap draws).
"""

from covid_cxr.metrics.calibration import (
    Reliability,
    fit_temperature,
    reliability,
    softmax,
)
from covid_cxr.metrics.curves import Band, Curve, precision_recall_curve, roc_band, roc_curve
from covid_cxr.metrics.intervals import Interval, binary_support, bootstrap, clopper_pearson
from covid_cxr.metrics.scores import (
    auroc,
    average_precision,
    binary_scores,
    confusion_matrix,
    multiclass_scores,
)
from covid_cxr.metrics.threshold import choose_threshold

__all__ = [
    "Band",
    "Curve",
    "Interval",
    "Reliability",
    "auroc",
    "average_precision",
    "binary_scores",
    "binary_support",
    "bootstrap",
    "choose_threshold",
    "clopper_pearson",
    "confusion_matrix",
    "fit_temperature",
    "multiclass_scores",
    "precision_recall_curve",
    "reliability",
    "roc_band",
    "roc_curve",
    "softmax",
]
