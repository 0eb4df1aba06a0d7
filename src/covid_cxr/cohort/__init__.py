"""From folders of public and own data to one table that keeps patients on one side of a split.

`build.build` makes it, `schema.load` reads it, `splits.leakage.find_leaks` looks for leaks,
`splits.grouped.grouped_folds` divides train and validation into folds. Importing this package
imports none of them.
"""

from covid_cxr.cohort.datasets import DATASETS

__all__ = ["DATASETS"]
