"""Check 1: a patient, a file or a copy of a film on both sides of a split.

Roberts et al., "Common pitfalls and recommendations for using machine learning to detect and
prognosticate for COVID-19", Nature Machine Intelligence 2021. Reads the cohort's table alone: which
films are copies was found when the cohort was built, and no test film is opened.
"""

from __future__ import annotations

from covid_cxr.audit.context import Material
from covid_cxr.audit.verdicts import Finding
from covid_cxr.cohort.splits.leakage import find_leaks
from covid_cxr.config.audit import Budget
from covid_cxr.results.audit import Verdict

_SHOWN = 5


def findings(material: Material, _: Budget) -> list[Finding]:
    """Return one finding: how many patients or copies cross a split; one is too many."""
    problems = find_leaks(material.cohort)
    included = material.cohort[material.cohort["split"] != "excluded"]
    copies = int((included["duplicate_group"] != "").sum())
    if problems:
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        sentence = f"Films of one patient, or copies, stand in two splits: {problems[0]}{more}."
    else:
        sentence = (
            f"No patient and no copy stands in two splits ({included['patient_id'].nunique()} "
            f"patients, {len(included)} films, {copies} of them copies that were kept together)."
        )
    details = {"copies_kept_together": copies, "first": problems[:_SHOWN]}
    verdict: Verdict = "fail" if problems else "pass"
    return [Finding("leaks", verdict, sentence, float(len(problems)), bound=0.0, details=details)]
