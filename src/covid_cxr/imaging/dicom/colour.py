"""Colour objects whose PhotometricInterpretation contradicts their samples (PS3.3 C.7.6.3.1.2).

Grey pictures in colour objects tell: RGB has three equal channels, YCbCr two in the middle of their
range. Read as the other they would be pictures in false colours, of a wrong brightness.
"""

from __future__ import annotations

import numpy as np
from pydicom.pixels.processing import convert_color_space

from covid_cxr.imaging.dicom.bits import Flags, Samples

# How far, as a share of the range, channels of a grey picture are apart after lossy coding, and the
# least share of such pixels.
_APART, _MOST = 0.03, 0.99


def to_rgb(samples: Samples, photometric: str, bits: int) -> tuple[Samples, Flags]:
    """Return RGB (H, W, 3) of RGB or YBR_FULL samples, and a flag.

    Args:
        samples: unsigned integers (H, W, 3).
        photometric: "RGB" or "YBR_FULL", as stated.
        bits: bits of a sample.
    """
    rows = samples[:: max(1, len(samples) // 256)].astype(np.int64)
    middle, room = 1 << (bits - 1), _APART * (1 << bits)
    if photometric == "RGB":
        if np.mean(np.abs(rows[..., 1:] - middle).max(axis=-1) <= room) < _MOST:
            return samples, ()
        if np.mean(np.abs(rows[..., 0] - middle) <= room) >= _MOST:
            return samples, ()  # plain mid-grey in either
        grey = np.repeat(samples[..., :1], 3, axis=-1)
        return grey, ("RGB stated, the samples are YCbCr: read so",)
    if np.mean(np.ptp(rows, axis=-1) <= room) >= _MOST:
        return samples, ("YBR_FULL stated, the samples are RGB: read so",)
    return convert_color_space(samples, photometric, "RGB"), ()
