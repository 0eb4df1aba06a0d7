"""The whole way on own data, whose sources only the cohort knows, not the configuration."""

import json
from pathlib import Path

import pandas as pd
import pytest

from covid_cxr.cli.main import run as command
from covid_cxr.config import AuditConfig, CohortConfig, RunConfig, dump

pytestmark = pytest.mark.usefixtures("graph_templates")

AUDIT = AuditConfig(size=64, bootstrap=100, permutations=100, seeds=2, perturbed=8, explained=6)
SHARES = ["-s", "cohort.train=0.5", "-s", "cohort.val=0.25", "-s", "cohort.test=0.25"]


@pytest.fixture
def recipe(tiny_config: RunConfig, tmp_path: Path) -> Path:
    """A recipe that names no data set."""
    cohort = CohortConfig(train=0.5, val=0.25, test=0.25)
    config = tiny_config.model_copy(update={"cohort": cohort, "audit": AUDIT})
    path = tmp_path / "recipe.json"
    path.write_text(dump(config))
    return path


def by_folder(phantoms: Path, root: Path) -> None:
    """Lay the phantoms out as one folder a finding."""
    table = pd.read_csv(phantoms / "manifest.csv", dtype=str)
    for number, row in table.iterrows():
        folder = root / "ward" / row["finding"]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{row['patient_id']}_{number}.png").symlink_to(phantoms / row["path"])


@pytest.mark.slow
@pytest.mark.parametrize("adapter", ["csv", "folder"])
def test_train_on_a_cohort_then_evaluate_and_audit(
    adapter: str, recipe: Path, phantoms: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, source = phantoms, "cohort.datasets.own={adapter: csv, path: manifest.csv}"
    if adapter == "folder":
        labels = "labels: {normal: normal, pneumonia: pneumonia, covid-19: covid-19}"
        data = tmp_path / "data"
        source = f"cohort.datasets.own={{adapter: folder, path: ward, {labels}}}"
        by_folder(phantoms, data)
    out, run = str(tmp_path / "cohort"), tmp_path / "run"
    options = ["--data", str(data), "-q"]
    assert command(["cohort", "build", *options, "--out", out, "-s", source, *SHARES]) == 0
    cohort = ["--cohort", f"{out}/cohort.csv"]
    assert command(["train", str(recipe), *cohort, *options, "--out", str(run)]) == 0
    assert command(["evaluate", str(run), "-q"]) == 0
    capsys.readouterr()
    status = command(["audit", str(run), "--json", "-q"])
    audit = json.loads(capsys.readouterr().out)
    assert status == (3 if audit["verdict"] == "fail" else 0)
    verdicts = {check["name"]: check["verdict"] for check in audit["checks"]}
    assert len(verdicts) == 12
    assert verdicts["metadata"] != "not made"
    assert verdicts["perturbation"] != "not made"
    report = (run / "report.html").read_text("utf-8")
    card = (run / "bundle" / "MODEL_CARD.md").read_text("utf-8")
    made = json.loads((run / "bundle" / "manifest.json").read_text("utf-8"))
    assert sum(count["images"] for count in made["input_check"].values()) == audit["images"]
    metrics = json.loads((run / "metrics.json").read_text("utf-8"))
    assert metrics["training_warnings"] == made["warnings"]
    assert metrics["input_check"] == made["input_check"]
    for sentence in made["warnings"]:
        assert sentence in report
        assert sentence in card
    assert audit["summary"] in report
    if adapter == "folder":  # one source, no site
        assert verdicts["left-out"] == verdicts["source-probe"] == "not made"
        assert ">not made</span>" in report
