"""From bytes to model input: `read`, then `preprocess` (which calls `remove_markers`)."""

from covid_cxr.images.markers import remove_markers
from covid_cxr.images.preprocess import preprocess
from covid_cxr.images.read import read

__all__ = ["preprocess", "read", "remove_markers"]
