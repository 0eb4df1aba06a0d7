"""`covid-cxr audit` on run folders: exit status, what it writes, and that it can fail."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from covid_cxr import pipeline
from covid_cxr.audit import CHECKS
from covid_cxr.cli.main import run as command
from covid_cxr.cohort import build, schema
from covid_cxr.config import AuditConfig, RunConfig, dump
from covid_cxr.phantoms import write_cohort
from covid_cxr.pipeline.run import audit_unless_done

pytestmark = pytest.mark.usefixtures("graph_templates")

SMALL = AuditConfig(size=64, bootstrap=100, permutations=100, seeds=2, perturbed=8, explained=6)


def audited(run: Path) -> dict:
    return json.loads((run / "audit.json").read_text("utf-8"))


def with_audit(run: Path, settings: AuditConfig) -> Path:
    """Change how a run is audited, as its configuration would."""
    folder = pipeline.RunFolder.open(run)
    (run / "config.json").write_text(dump(folder.config.model_copy(update={"audit": settings})))
    return run


@pytest.fixture
def own_run(tiny_run: Path, tmp_path: Path) -> Path:
    return with_audit(Path(shutil.copytree(tiny_run, tmp_path / "run")), SMALL)


@pytest.mark.slow
def test_all_checks_on_a_whole_run(own_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = (own_run / "report.html").read_text("utf-8")
    before = json.loads((own_run / "metrics.json").read_text("utf-8"))
    status = command(["audit", str(own_run), "--json"])
    found = audited(own_run)
    printed = json.loads(capsys.readouterr().out)
    assert printed == found
    assert status == (3 if found["verdict"] == "fail" else 0)
    assert [check["name"] for check in found["checks"]] == list(CHECKS)
    assert (found["format"], found["budget"]) == (1, "quick")
    assert found["bundle"] == pipeline.RunFolder.open(own_run).bundle().id
    for check in found["checks"]:
        assert check["sentence"].endswith(".")
        assert check["verdict"] in ("not made", "info", "pass", "warn", "fail")
        assert len(check["findings"]) >= 1
    changes = next(each for each in found["checks"] if each["name"] == "perturbation")
    assert {"markers removed", "JPEG"} <= {each["name"] for each in changes["findings"]}
    # the test split is not read, and the report is written again
    assert json.loads((own_run / "metrics.json").read_text("utf-8")) == before
    assert (own_run / "report.html").read_text("utf-8") != report


def test_an_audit_reads_no_test_image(own_run: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(pipeline.RunFolder.open(own_run).data_root, tmp_path / "data"))
    cohort = schema.read(own_run / "cohort.csv")
    for path in cohort.loc[~cohort["split"].isin(("train", "val")), "path"]:
        (data / path).unlink()
    folder = pipeline.RunFolder.open(own_run)
    moved = folder.config.model_copy(update={"data_root": str(data)})
    (own_run / "config.json").write_text(dump(moved))
    assert command(["audit", str(own_run), "--only", "metadata", "--only", "leak", "-q"]) in (0, 3)
    assert [check["name"] for check in audited(own_run)["checks"]] == ["leak", "metadata"]


def test_an_injected_shortcut_has_exit_status_3(
    own_run: Path, tiny_config: RunConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = tmp_path / "images"
    write_cohort(images, patients=40, seed=7, shortcut="border", duplicates=0)
    fractions = {"train": 0.6, "val": 0.3, "test": 0.1}
    build.write(build.build(images, tiny_config.cohort.model_copy(update=fractions), 7), own_run)
    folder = pipeline.RunFolder.open(own_run)
    config = folder.config.model_copy(update={"data_root": str(images)})
    (own_run / "config.json").write_text(dump(config))
    (own_run / "predictions-val.csv").write_text("file,status\n")  # of other images
    (own_run / "report.html").unlink()
    assert command(["audit", str(own_run), "--only", "metadata"]) == 3
    printed = capsys.readouterr().out
    assert "1 of 1 check fails: acquisition features" in " ".join(printed.split())
    border = next(f for f in audited(own_run)["checks"][0]["findings"] if f["name"] == "border")
    assert border["verdict"] == "fail"
    assert border["value"] > 0.95


def test_a_leak_has_exit_status_3_and_is_a_finding(own_run: Path) -> None:
    table = pd.read_csv(own_run / "cohort.csv", dtype=str, keep_default_na=False)
    test, train = (table.index[table["split"] == split][0] for split in ("test", "train"))
    table.loc[test, "patient_id"] = table.loc[train, "patient_id"]
    table.to_csv(own_run / "cohort.csv", index=False)
    assert command(["audit", str(own_run), "--only", "leak", "-q"]) == 3
    assert "are in two splits" in audited(own_run)["checks"][0]["sentence"]


def test_what_cannot_be_audited(
    own_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["audit", str(tmp_path)]) == 2
    assert "is no run folder" in capsys.readouterr().err
    assert command(["audit", str(own_run), "--only", "lungs"]) == 2
    assert "unknown check 'lungs': did you mean" in capsys.readouterr().err
    assert not (own_run / "audit.json").exists()


def test_a_run_is_audited_once_and_how_may_change(own_run: Path) -> None:
    leak_only = AuditConfig(off=tuple(name for name in CHECKS if name != "leak"))
    folder = pipeline.RunFolder.open(with_audit(own_run, leak_only))
    audit_unless_done(folder)
    first = folder.audit()
    assert first is not None
    assert first.summary == "None of 1 check fails."
    (own_run / "cohort.csv").unlink()
    audit_unless_done(folder)  # nothing is read again
    assert folder.audit() == first
    none = folder.config.model_copy(update={"audit": AuditConfig(budget="none")})
    again = pipeline.RunFolder.create(own_run, none, folder.data_root, "again")
    (own_run / "audit.json").unlink()
    audit_unless_done(again)
    assert again.audit() is None
