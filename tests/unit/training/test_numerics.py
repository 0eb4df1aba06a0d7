"""What a training sets is undone: later code of the process computes as it always does."""

import numpy as np
import torch

from covid_cxr.training.experiment import without_denormals


def smallest() -> float:
    return float(torch.tensor([1e-40], dtype=torch.float32) * 1.0)


@without_denormals()
def inside() -> float:
    return smallest()


def test_small_numbers_are_flushed_inside_and_kept_outside():
    before = smallest()
    assert inside() == 0
    assert smallest() == before
    assert np.float32(1e-40) * np.float32(1) > 0


def test_it_is_undone_after_an_error():
    try:
        with without_denormals():
            raise ValueError
    except ValueError:
        pass
    assert np.float32(1e-40) * np.float32(1) > 0
