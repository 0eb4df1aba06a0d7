"""From bytes to model input: `read`, then `preprocess` (which calls `reduce`, `remove_markers`)."""

from covid_cxr.imaging.markers import remove_markers
from covid_cxr.imaging.preprocess import preprocess, reduce
from covid_cxr.imaging.read import read

__all__ = ["preprocess", "read", "reduce", "remove_markers"]
