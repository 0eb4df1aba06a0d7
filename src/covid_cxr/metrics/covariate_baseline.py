"""What the view position alone is worth: the ill are filmed lying down (AP), others stand (PA)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from covid_cxr.metrics.delong import clustered_auroc
from covid_cxr.metrics.intervals import Interval

AP_VIEWS = ("AP", "AP Supine")
PA_VIEWS = ("PA",)


def projections(views: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which films (N,) are AP, lying or not, and which PA; neither: not known.

    Args:
        views: (N,) view positions as a cohort states them.
    """
    stated = np.asarray(views, dtype=object)
    ap, pa = (np.isin(stated.astype(str), names) for names in (AP_VIEWS, PA_VIEWS))
    return ap, pa


def view_alone(labels: ArrayLike, views: ArrayLike, clusters: ArrayLike) -> Interval:
    """Return the AUROC of "is AP" alone, over the films of a known view.

    Whatever a model scores on such films, this much needs no picture. Below 0.5 where it is the
    others that are AP; NaN without both classes.

    Args:
        labels: (N,) 1 or True for an event, else 0.
        views: (N,) view positions.
        clusters: (N,) patient of each case.
    """
    ap, pa = projections(views)
    known = ap | pa
    event, patients = np.asarray(labels, dtype=bool), np.asarray(clusters)
    return clustered_auroc(event[known], ap[known].astype(np.float64), patients[known])
