"""From bytes to model input: `read`, then `preprocess` (which calls `remove_markers`)."""

from covid_cxr.imaging.markers import remove_markers
from covid_cxr.imaging.preprocess import preprocess
from covid_cxr.imaging.read import read

__all__ = ["preprocess", "read", "remove_markers"]
