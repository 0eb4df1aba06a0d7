"""Which sources are held out together."""

import numpy as np

from covid_cxr.audit.checks.left_out import hold_out_folds


def test_few_origins_are_held_out_one_by_one_and_many_in_five_groups() -> None:
    few = np.array(["b", "a", "b", "c"])
    assert hold_out_folds(few, 0).tolist() == [1, 0, 1, 2]
    many = np.repeat([f"s{i}" for i in range(20)], np.arange(1, 21))
    fold = hold_out_folds(many, 0)
    assert set(fold) == set(range(5))
    assert all(len(set(fold[many == name])) == 1 for name in np.unique(many))
    assert np.ptp(np.bincount(fold)) <= 4
