"""Synthetic frontal chest radiographs with ground truth, for the demo and the tests."""

from covid_cxr.phantoms.cohort import write_cohort
from covid_cxr.phantoms.hospitals import HOSPITALS, Hospital
from covid_cxr.phantoms.radiograph import Phantom, draw

__all__ = ["HOSPITALS", "Hospital", "Phantom", "draw", "write_cohort"]
