"""Head, distance and limits of the input check from features of the lung network.

Scores of a radiograph by a head that was fitted to others of its source say little of one from
elsewhere. The limits are therefore set on radiographs whose whole source was left out.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import ShrunkCovariance
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from covid_cxr.errors import CohortError
from covid_cxr.inference.input_check import UPRIGHT, InputCheck, Limits
from covid_cxr.types import FloatArray
from research.input_check.samples import OTHERS, PHANTOMS, PICTURES, Samples

Features = FloatArray | NDArray[np.float16]  # pooled, (N, D)
COMPONENTS = 128
_RIDGE = 1e-6  # of the largest variance: a component of next to none is not scaled up
_C = 0.1  # of the logistic regression
_SHRINKAGE = 0.1  # of the covariance
# Share of upright radiographs that a limit leaves out: where lungs are found, and where not.
_LEFT_OUT, _LEFT_OUT_WITHOUT_LUNGS = 0.005, 0.05
_FOLDS = 5


@dataclass(frozen=True)
class Head:
    """D pooled features become K components, from which M logits and a distance are computed.

    Attributes:
        mean: float32 (D,), of the features.
        components: float32 (D, K), on which they are projected.
        weights: float32 (K, M), of the logistic regression.
        bias: float32 (M,).
        reasons: (M,), why a class is rejected; "" for the one that is answered.
        centre: float32 (K,), of upright radiographs.
        whitening: float32 (K, K), after which distances are Mahalanobis'.
    """

    mean: FloatArray
    components: FloatArray
    weights: FloatArray
    bias: FloatArray
    reasons: tuple[str, ...]
    centre: FloatArray
    whitening: FloatArray

    def reason_logits(self, features: Features) -> FloatArray:
        """Return (N, M) of pooled features (N, D)."""
        return np.asarray(self._project(features) @ self.weights + self.bias, np.float32)

    def distances(self, features: Features) -> FloatArray:
        """Return how far pooled features (N, D) lie from the centre of upright radiographs."""
        away = (self._project(features) - self.centre) @ self.whitening
        return np.asarray(np.linalg.norm(away, axis=1), np.float32)

    def _project(self, features: Features) -> FloatArray:
        return np.asarray((features.astype(np.float32) - self.mean) @ self.components, np.float32)


class Fitted(NamedTuple):
    """What goes into the graph, and what goes into `lungs.json`."""

    head: Head
    check: InputCheck

    def rejections(self, samples: Samples) -> list[str]:
        """Return for each sample why it is rejected, "" where it is not."""
        logits = self.head.reason_logits(samples.features)
        distances = self.head.distances(samples.features)
        reasons = self.check.rejections(logits, distances, samples.lungs_found.tolist())
        return [reason or UPRIGHT for reason in reasons]


class Scores(NamedTuple):
    """Of N samples: the log-odds of an upright radiograph, and the distance from those known."""

    log_odds: FloatArray
    distances: FloatArray


def fit(samples: Samples) -> Fitted:
    """Return a head fitted to the train rows, with limits from train and val.

    Raises:
        CohortError: there are no upright radiographs.
    """
    rows = samples.rows
    if not (rows["reason"].eq(UPRIGHT) & rows["split"].eq("train")).any():
        raise CohortError(
            "the cohort has no radiographs of train; the input check is fitted to those"
        )
    head = fit_head(samples)
    lungs_found, lungs_not_found = _limits(left_out_scores(samples))
    check = InputCheck(
        reasons=head.reasons, lungs_found=lungs_found, lungs_not_found=lungs_not_found
    )
    return Fitted(head, check)


def fit_head(samples: Samples) -> Head:
    """Return a head fitted to the train rows."""
    train = samples.where(samples.rows["split"].eq("train"))
    features = train.features.astype(np.float32)
    mean, components = _principal(features)
    projected = np.asarray((features - mean) @ components, np.float32)
    model = LogisticRegression(C=_C, max_iter=300)
    with warnings.catch_warnings():  # 300 steps are enough; the last digits decide nothing
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(projected, train.rows["reason"].to_numpy(dtype=np.str_))
    upright = projected[train.rows["reason"].eq(UPRIGHT).to_numpy()]
    spread = ShrunkCovariance(shrinkage=_SHRINKAGE).fit(upright.astype(np.float64))
    return Head(
        mean=mean,
        components=components,
        weights=model.coef_.T.astype(np.float32),
        bias=model.intercept_.astype(np.float32),
        reasons=tuple(model.classes_.tolist()),
        centre=spread.location_.astype(np.float32),
        whitening=np.linalg.cholesky(spread.precision_).astype(np.float32),
    )


def left_out_scores(samples: Samples) -> Scores:
    """Return the scores of upright radiographs, by heads that were not fitted to their source."""
    blocks = _blocks(samples)
    odds, distances = [], []
    for block in sorted(set(blocks) - {""}):
        head = fit_head(samples.where(blocks != block))
        is_scored = (blocks == block) & samples.rows["reason"].eq(UPRIGHT).to_numpy()
        features = samples.where(is_scored).features
        odds.append(log_odds(head, features))
        distances.append(head.distances(features))
    return Scores(np.concatenate(odds), np.concatenate(distances))


def log_odds(head: Head, features: Features) -> FloatArray:
    """Return the log-odds (N,) of an upright radiograph from pooled features (N, D)."""
    none = Limits(least_log_odds=0, farthest_distance=0)
    check = InputCheck(reasons=head.reasons, lungs_found=none, lungs_not_found=none)
    return check.log_odds(head.reason_logits(features))


def _blocks(samples: Samples) -> NDArray[np.str_]:
    """Return what is left out together: a source; of one source alone, a fifth of its patients."""
    rows = samples.rows
    is_radiograph = ~rows["source"].isin((PHANTOMS, PICTURES, OTHERS))
    blocks = rows["source"].where(is_radiograph, "")
    if blocks[is_radiograph].nunique() == 1:
        names = sorted(set(rows.loc[is_radiograph, "patient_id"]))
        fold = rows["patient_id"].map({name: i % _FOLDS for i, name in enumerate(names)})
        blocks = fold.fillna(0).astype(int).astype(str).where(is_radiograph, "")
    return np.array(blocks.tolist(), dtype=np.str_)


def _limits(scores: Scores) -> tuple[Limits, Limits]:
    """Return limits that nearly all upright radiographs keep, with and without lungs found."""
    with_lungs, without = (
        Limits(
            least_log_odds=max(0.0, float(np.quantile(scores.log_odds, share))),
            farthest_distance=float(np.quantile(scores.distances, 1 - share)),
        )
        for share in (_LEFT_OUT, _LEFT_OUT_WITHOUT_LUNGS)
    )
    return with_lungs, without


def _principal(features: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the mean (D,) and the components (D, K) that make the spread of (N, D) round."""
    count = min(COMPONENTS, len(features) - 1)
    # ARPACK finds the few axes asked for; of small sets nearly all are, which it cannot.
    solver = "arpack" if 2 * count < len(features) else "full"
    model = PCA(count, svd_solver=solver, random_state=0).fit(features)
    variances = model.explained_variance_
    scaled = model.components_.T / np.sqrt(variances + _RIDGE * variances.max())
    return model.mean_.astype(np.float32), scaled.astype(np.float32)
