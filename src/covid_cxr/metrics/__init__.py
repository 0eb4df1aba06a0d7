"""Statistics, each in one module: scores, intervals, calibration, operating points, baselines.

Throughout, N is the number of cases, C of classes, D of case weightings (bootstrap resamples).
"""

from covid_cxr.metrics.bootstrap import Bootstrap as Bootstrap
from covid_cxr.metrics.calibration import expected_calibration_error as expected_calibration_error
from covid_cxr.metrics.calibration import fit_temperature as fit_temperature
from covid_cxr.metrics.calibration import reliability as reliability
from covid_cxr.metrics.calibration import softmax as softmax
from covid_cxr.metrics.conformal import class_quantiles as class_quantiles
from covid_cxr.metrics.conformal import conformal_quantile as conformal_quantile
from covid_cxr.metrics.conformal import prediction_sets as prediction_sets
from covid_cxr.metrics.conformal import set_scores as set_scores
from covid_cxr.metrics.covariate_baseline import projections as projections
from covid_cxr.metrics.covariate_baseline import view_alone as view_alone
from covid_cxr.metrics.curves import precision_recall_band as precision_recall_band
from covid_cxr.metrics.curves import precision_recall_curve as precision_recall_curve
from covid_cxr.metrics.curves import roc_band as roc_band
from covid_cxr.metrics.curves import roc_curve as roc_curve
from covid_cxr.metrics.decision_curve import net_benefit as net_benefit
from covid_cxr.metrics.delong import clustered_auroc as clustered_auroc
from covid_cxr.metrics.delong import clustered_difference as clustered_difference
from covid_cxr.metrics.intervals import Interval as Interval
from covid_cxr.metrics.intervals import Paired as Paired
from covid_cxr.metrics.intervals import binary_support as binary_support
from covid_cxr.metrics.intervals import clopper_pearson as clopper_pearson
from covid_cxr.metrics.prevalence import predictive_values as predictive_values
from covid_cxr.metrics.prevalence import shift_prevalence as shift_prevalence
from covid_cxr.metrics.recalibration import Recalibration as Recalibration
from covid_cxr.metrics.recalibration import calibration_line as calibration_line
from covid_cxr.metrics.recalibration import calibration_scores as calibration_scores
from covid_cxr.metrics.recalibration import fit_recalibration as fit_recalibration
from covid_cxr.metrics.recalibration import log_odds as log_odds
from covid_cxr.metrics.scores import auroc as auroc
from covid_cxr.metrics.scores import average_precision as average_precision
from covid_cxr.metrics.scores import binary_scores as binary_scores
from covid_cxr.metrics.scores import confusion_matrix as confusion_matrix
from covid_cxr.metrics.scores import multiclass_scores as multiclass_scores
from covid_cxr.metrics.threshold import choose_threshold as choose_threshold
from covid_cxr.metrics.threshold import decisions as decisions
