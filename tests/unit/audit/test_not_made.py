"""A check that these data do not allow is not made, with the reason, and the others go on."""

from pathlib import Path

import pandas as pd
import pytest

from covid_cxr.audit import run_audit
from covid_cxr.audit.acquisition_features import devices
from covid_cxr.audit.context import AuditContext
from covid_cxr.audit.verdicts import summary
from covid_cxr.cohort import schema
from covid_cxr.results import AuditResult, CheckResult
from covid_cxr.testing.audit_checks import CellFeatures, tiny_context
from covid_cxr.types import COVID

CHECKS = ("metadata", "lungs-removed", "confounding", "left-out", "permutation", "stability")


def audit_of(cohort: pd.DataFrame, folder: Path, *checks: str) -> dict[str, CheckResult]:
    context = tiny_context()
    schema.save(cohort.reset_index(drop=True), folder / "cohort.csv")
    result = run_audit(folder, context.config, context.bundle, only=checks, network=CellFeatures())
    assert AuditResult.read(folder / "audit.json") == result
    return {check.name: check for check in result.checks}


def test_without_covid_no_check_divides_by_zero(tmp_path: Path) -> None:
    cohort = tiny_context().cohort
    checks = audit_of(cohort[cohort["finding"] != COVID], tmp_path, *CHECKS, "size", "leak")
    assert {checks[name].verdict for name in CHECKS} == {"not made"}
    reason = "Not made: the training and validation images with COVID-19 come from 0 patients,"
    assert checks["permutation"].sentence.startswith(reason)
    assert (checks["leak"].verdict, checks["size"].verdict) == ("pass", "warn")


def test_one_patient_with_covid_cannot_be_both_learned_and_scored(tmp_path: Path) -> None:
    cohort = tiny_context().cohort
    with_covid = cohort.loc[cohort["finding"] == COVID, "patient_id"].unique()
    checks = audit_of(cohort[~cohort["patient_id"].isin(with_covid[1:])], tmp_path, *CHECKS)
    assert {check.verdict for check in checks.values()} == {"not made"}


def test_an_image_that_is_gone_ends_only_the_checks_that_read_it(tmp_path: Path) -> None:
    cohort = tiny_context().cohort.copy()
    cohort.loc[cohort.index[cohort["split"] == "train"][0], "path"] = "gone.png"
    checks = audit_of(cohort, tmp_path, *CHECKS, "leak", "size")
    assert checks["leak"].verdict == "pass"
    assert "gone.png' does not exist" in checks["metadata"].sentence
    site, probe = checks["confounding"].findings[0], checks["confounding"].findings[-2]
    assert site.value is not None
    assert probe.verdict == "not made"
    rarer = next(one for one in checks["size"].findings if one.name.startswith("patients"))
    assert rarer.value is not None


def test_images_that_cannot_be_read_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    base, reads = tiny_context(), []
    cohort = base.cohort.assign(path="gone.png")
    context = AuditContext(base.run, base.config, cohort, base.bundle, network=CellFeatures())
    read_all = context._read_all
    monkeypatch.setattr(context, "_read_all", lambda: (reads.append(1), read_all())[1])
    for _ in range(2):
        with pytest.raises(Exception, match="does not exist"):
            _ = context.images
    assert reads == [1]


def test_without_validation_images_nothing_is_perturbed(tmp_path: Path) -> None:
    cohort = tiny_context().cohort
    checks = audit_of(cohort[cohort["split"] != "val"], tmp_path, "perturbation", "explanations")
    sentence = "Not made: there are 0 validation images, expected 5 or more."
    assert checks["perturbation"].sentence == sentence
    assert checks["explanations"].verdict == "not made"


def test_devices_are_those_of_the_cohort_whatever_its_source_is_called(tmp_path: Path) -> None:
    header = "patientid,finding,view,modality,folder,filename,url,sex,age,license,offset"
    rows = ["1,,PA,X-ray,images,a.png,,,,,,Y", "2,,PA,X-ray,images,b.png,,,,,,N"]
    (tmp_path / "mine" / "images").mkdir(parents=True)
    text = "\n".join([f"{header},intubated", *rows])
    (tmp_path / "mine" / "metadata.csv").write_text(text)
    paths = ["mine/images/a.png", "mine/images/b.png", "others/c.png"]
    ids = ["ward:a.png", "ward:b.png", "ward:c.png"]
    table = devices(pd.DataFrame({"path": paths, "image_id": ids, "source": "ward"}), tmp_path)
    assert table["device_intubated"].tolist()[:2] == [1.0, 0.0]
    assert table["device_intubated"].isna().tolist() == [False, False, True]
    # own data: nothing is stated, and no data set is looked for
    assert devices(pd.DataFrame({"path": ["x.png"], "image_id": ["a:x"]}), tmp_path).empty


def test_the_summary_counts_the_checks_that_were_made() -> None:
    made = {"number": 1, "title": "Leak", "question": "?", "reference": "", "sentence": "."}
    checks = [
        CheckResult(name="a", verdict=verdict, seconds=0.0, findings=(), **made)
        for verdict in ("pass", "not made", "warn")
    ]
    assert summary(checks) == "None of 2 checks fails. 1 warns. Not made: leak."
    assert summary(checks[1:2]) == "Not made: leak."
