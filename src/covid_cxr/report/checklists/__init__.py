"""CLAIM 2024 and TRIPOD+AI, filled from a run: each item answered by it or left to the author.

An item of `*.yaml` names a function of `ANSWERS`, from `Facts` to a sentence or, where the run
does not know, None. To answer one more item, write the function and name it in both places.
"""

from covid_cxr.report.checklists.facts import Facts
from covid_cxr.report.checklists.fill import AUTHOR, Entry, Filled, fill, markdown

__all__ = ["AUTHOR", "Entry", "Facts", "Filled", "fill", "markdown"]
