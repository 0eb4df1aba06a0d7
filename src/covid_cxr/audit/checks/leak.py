"""Check 1: a patient, a file or a copy of an image in two splits.

Roberts et al., "Common pitfalls and recommendations for using machine learning to detect and
prognosticate for COVID-19", Nature Machine Intelligence 2021. Only the cohort table is read: which
images are copies was determined when the cohort was built, and no test image is opened.
"""

from __future__ import annotations

from covid_cxr.audit.context import AuditContext
from covid_cxr.audit.verdicts import AuditCheck, finding
from covid_cxr.cohort.splits.leakage import find_leaks
from covid_cxr.config.audit import Budget
from covid_cxr.metrics import Interval
from covid_cxr.results import AuditFinding
from covid_cxr.results.audit import Details, Verdict

_MOST_LISTED = 5


def measure(context: AuditContext, _: Budget) -> list[AuditFinding]:
    """Return how many patients or copies cross a split; one fails."""
    problems = find_leaks(context.cohort)
    included = context.cohort[context.cohort["split"] != "excluded"]
    duplicates = int((included["duplicate_group"] != "").sum())
    if problems:
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        sentence = f"Images of one patient, or copies, are in two splits: {problems[0]}{more}."
    else:
        sentence = (
            f"No patient and no copy is in two splits ({included['patient_id'].nunique()} "
            f"patients, {len(included)} images, {duplicates} of them copies kept in one split)."
        )
    verdict: Verdict = "fail" if problems else "pass"
    details: Details = {"copies_kept_together": duplicates, "first": tuple(problems[:_MOST_LISTED])}
    count = Interval(len(problems))
    return [finding("leaks", verdict, sentence, count, bound=0.0, details=details)]


CHECK = AuditCheck.built_in("leak", measure)
