"""Which regions are hidden in which sample: the design of a perturbation experiment.

LIME's own are independent Bernoulli variables of probability 1/2. Two designs need fewer samples
for the same weights:

- antithetic: each sample is followed by its complement, so that the interaction of two regions (and
  every effect of even order) cancels out of their weights;
- balanced: samples are the rows of a Hadamard matrix, signs and columns chosen at random, each
  followed by its complement (a fold-over Plackett-Burman design, Biometrika 1946): every region is
  shown in exactly half of a block, and any two together in a quarter, which Bernoulli samples do on
  average only.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import hadamard

from covid_cxr.explain.settings import Sampling
from covid_cxr.types import BoolArray


def sample_masks(
    regions: int, samples: int, seed: int, sampling: Sampling = "bernoulli"
) -> BoolArray:
    """Return (samples, regions), True where shown; row 0 shows everything.

    With antithetic and balanced samples rows 1 and 2, 3 and 4, ... are complements.
    """
    rng = np.random.default_rng(seed)
    masks = np.ones((samples, regions), dtype=np.bool_)
    if sampling == "bernoulli":
        masks[1:] = rng.integers(0, 2, size=(samples, regions), dtype=np.bool_)[1:]
        return masks
    pairs = samples // 2
    if sampling == "antithetic":
        first = rng.integers(0, 2, size=(pairs, regions), dtype=np.bool_)
    else:
        first = _balanced(regions, pairs, rng)
    both = np.stack([first, ~first], axis=1).reshape(-1, regions)
    masks[1:] = both[: samples - 1]
    return masks


def _balanced(regions: int, rows: int, rng: np.random.Generator) -> BoolArray:
    # The first column of a Hadamard matrix is constant: there must be one more than regions.
    order = 1 << int(np.ceil(np.log2(regions + 1)))
    design = hadamard(order)[:, 1:] > 0
    masks = np.empty((-(-rows // order), order, regions), dtype=np.bool_)
    for block in masks:
        columns = rng.permutation(order - 1)[:regions]
        shuffled = design[np.ix_(rng.permutation(order), columns)]
        block[:] = shuffled ^ rng.integers(0, 2, size=regions, dtype=np.bool_)
    return masks.reshape(-1, regions)[:rows]
