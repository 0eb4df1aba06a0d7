"""CLAIM 2024 and TRIPOD+AI, filled from a run: each item answered by it or left to the author.

An item of `*.yaml` names a macro of `report/templates/answers.j2`, which yields a sentence or,
where the run does not know, nothing. To answer one more item, write the macro and name it in the
YAML.
"""

from covid_cxr.report.checklists.fill import AUTHOR, Checklist, Entry, fill, markdown

__all__ = ["AUTHOR", "Checklist", "Entry", "fill", "markdown"]
