"""PixelRepresentation that contradicts the pixels and the windows (PS3.3 C.7.6.3, C.11.2.1.2).

Pixels called signed by mistake jump from mid-grey to black where they should go on to white. In
sound files text and collimation jump too, so a window must tell as well: much of it is for numbers
that the stated sign does not have, and it holds the pixels of the other reading, which is smoother.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from covid_cxr.imaging.dicom import bits
from covid_cxr.imaging.dicom.bits import Flags, Samples
from covid_cxr.imaging.dicom.numbers import number, numbers

# The least share of the window that is for the other sign's numbers, the least share of the pixels
# that it holds in the other sign, and the share that it may hold in the stated one.
_BEYOND, _IN_OTHER, _IN_STATED = 0.25, 0.99, 0.9


def agreed(samples: Samples, dataset: Any) -> tuple[Samples, Flags]:
    """Return stored samples in the sign that window and pixels agree on, and a flag.

    PixelRepresentation is corrected.

    Args:
        samples: integers (H, W), sign extended; all others are returned as they are.
        dataset: the object they come from.
    """
    stored, signed = int(dataset.BitsStored), bool(dataset.PixelRepresentation)
    window = next(iter(_windows(dataset)), None)
    if samples.ndim != 2 or window is None:
        return samples, ()
    low, high = window
    beyond = high - (1 << (stored - 1)) if signed else -low
    if beyond < _BEYOND * (high - low):
        return samples, ()
    other = bits.extract(samples, stored - 1, stored, int(not signed))
    shares = [np.mean((cells >= low) & (cells <= high)) for cells in (samples, other)]
    if shares[0] > _IN_STATED or shares[1] < _IN_OTHER or not bits.is_smoother(other, samples):
        return samples, ()
    dataset.PixelRepresentation = int(not signed)
    stated, used = ("signed", "unsigned") if signed else ("unsigned", "signed")
    return other, (f"{stated} pixels stated, window and pixels are {used}: read so",)


def _windows(dataset: Any) -> list[tuple[float, float]]:
    """Return the windows, from low to high, in stored values; none behind a modality LUT."""
    slope, intercept = number(dataset, "RescaleSlope"), number(dataset, "RescaleIntercept")
    slope, intercept = 1.0 if slope is None else slope, intercept or 0.0
    if dataset.get("ModalityLUTSequence") or not slope:
        return []
    pairs = zip(numbers(dataset, "WindowCenter"), numbers(dataset, "WindowWidth"), strict=False)
    windows = [((c - intercept) / slope, abs(w / slope) / 2) for c, w in pairs]
    return [(c - half, c + half) for c, half in windows if math.isfinite(c + half) and half > 0]
