"""Statistics, each in one module: scores, intervals, calibration, operating points, baselines.

Throughout, N is the number of cases, C of classes, D of case weightings (bootstrap resamples).
"""

from covid_cxr.metrics.bootstrap import Bootstrap
from covid_cxr.metrics.calibration import (
    Reliability,
    expected_calibration_error,
    fit_temperature,
    reliability,
    softmax,
)
from covid_cxr.metrics.conformal import (
    class_quantiles,
    conformal_quantile,
    prediction_sets,
    set_scores,
)
from covid_cxr.metrics.covariate_baseline import projections, view_alone
from covid_cxr.metrics.curves import (
    Band,
    Curve,
    precision_recall_band,
    precision_recall_curve,
    roc_band,
    roc_curve,
)
from covid_cxr.metrics.decision_curve import NetBenefit, net_benefit
from covid_cxr.metrics.delong import Difference, clustered_auroc, clustered_difference
from covid_cxr.metrics.intervals import (
    Interval,
    Paired,
    binary_support,
    clopper_pearson,
)
from covid_cxr.metrics.prevalence import PredictiveValues, predictive_values, shift_prevalence
from covid_cxr.metrics.recalibration import (
    CalibrationLine,
    Recalibration,
    calibration_line,
    calibration_scores,
    fit_recalibration,
    log_odds,
)
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
    "Bootstrap",
    "CalibrationLine",
    "Curve",
    "Difference",
    "Interval",
    "NetBenefit",
    "Paired",
    "PredictiveValues",
    "Recalibration",
    "Reliability",
    "auroc",
    "average_precision",
    "binary_scores",
    "binary_support",
    "calibration_line",
    "calibration_scores",
    "choose_threshold",
    "class_quantiles",
    "clopper_pearson",
    "clustered_auroc",
    "clustered_difference",
    "conformal_quantile",
    "confusion_matrix",
    "expected_calibration_error",
    "fit_recalibration",
    "fit_temperature",
    "log_odds",
    "multiclass_scores",
    "net_benefit",
    "precision_recall_band",
    "precision_recall_curve",
    "prediction_sets",
    "predictive_values",
    "projections",
    "reliability",
    "roc_band",
    "roc_curve",
    "set_scores",
    "shift_prevalence",
    "softmax",
    "view_alone",
]
