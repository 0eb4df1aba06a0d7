"""Each check on a small cohort of phantoms, honest or changed on purpose.

Image features are the image itself in 12 x 12 cells, so that nothing has to be exported.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from covid_cxr import default_bundle
from covid_cxr.audit import run_audit
from covid_cxr.audit.checks import (
    confounding,
    leak,
    left_out,
    lungs_only,
    lungs_removed,
    metadata,
    permutation,
    size,
    source_probe,
    stability,
)
from covid_cxr.audit.checks.perturbation import PERTURBATIONS, Donor
from covid_cxr.audit.context import AuditContext, sample_patients
from covid_cxr.audit.run import select_checks
from covid_cxr.cohort import build, schema
from covid_cxr.config import AuditConfig, RunConfig
from covid_cxr.errors import UnknownName
from covid_cxr.imaging.markers import find_markers
from covid_cxr.phantoms import write_cohort
from covid_cxr.progress import reporting
from covid_cxr.results import AuditFinding

pytestmark = pytest.mark.usefixtures("graph_templates")

CELLS = 12


class Cells:
    """Stands in for the feature extractor."""

    def features(self, inputs: np.ndarray, _: object = None) -> np.ndarray:
        edge = inputs.shape[-1] // CELLS * CELLS
        cells = inputs[:, 0, :edge, :edge].reshape(len(inputs), CELLS, edge // CELLS, CELLS, -1)
        return cells.mean(axis=(2, 4)).reshape(len(inputs), -1).astype(np.float32)


def context_of(folder: Path, root: Path, config: RunConfig) -> AuditContext:
    settings = AuditConfig(size=96, bootstrap=200, permutations=100, seeds=3)
    cohort = config.cohort.model_copy(update={"train": 0.6, "val": 0.3, "test": 0.1})
    changes = {"data_root": str(root), "audit": settings, "cohort": cohort}
    config = config.model_copy(update=changes)
    if not (folder / "cohort.csv").exists():
        build.write(build.build(root, config.cohort, config.seed), folder)
    cohort = schema.read(folder / "cohort.csv")
    return AuditContext(folder, config, cohort, default_bundle(), network=Cells())


@pytest.fixture(scope="module")
def honest(
    phantoms: Path, tiny_config: RunConfig, tmp_path_factory: pytest.TempPathFactory
) -> AuditContext:
    return context_of(tmp_path_factory.mktemp("honest"), phantoms, tiny_config)


@pytest.fixture(scope="module")
def tied(tiny_config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> AuditContext:
    """COVID-19 from one hospital alone, and at half its resolution too."""
    root = tmp_path_factory.mktemp("tied-images")
    write_cohort(root, patients=40, seed=5, shortcut="hospital", duplicates=0)
    return context_of(tmp_path_factory.mktemp("tied"), root, tiny_config)


def by_name(findings: list[AuditFinding]) -> dict[str, AuditFinding]:
    return {one.name: one for one in findings}


def test_no_test_row_is_used(honest: AuditContext) -> None:
    assert set(honest.rows["split"]) == {"train", "val"}
    test = honest.cohort.loc[honest.cohort["split"] == "test", "patient_id"]
    assert not set(test) & set(honest.rows["patient_id"])


def test_folds_keep_patients_whole(honest: AuditContext) -> None:
    folds = pd.Series(honest.folds).groupby(honest.clusters).nunique()
    assert (folds == 1).all()


def test_more_images_than_asked_for_are_sampled_by_whole_patients(honest: AuditContext) -> None:
    some = sample_patients(honest.rows, 30, seed=1)
    assert 24 < len(some) <= 30 < len(honest.rows)
    whole = honest.rows.groupby("component").size()
    assert (some.groupby("component").size() == whole[some["component"].unique()]).all()
    assert sample_patients(honest.rows, 30, seed=1).equals(some)
    assert not sample_patients(honest.rows, 30, seed=2).equals(some)


def test_a_leak_fails(honest: AuditContext) -> None:
    assert leak.measure(honest, "quick")[0].verdict == "pass"
    cohort = honest.cohort.copy()
    test, train = (cohort.index[cohort["split"] == split][0] for split in ("test", "train"))
    cohort.loc[test, "patient_id"] = cohort.loc[train, "patient_id"]
    leaking = AuditContext(honest.run, honest.config, cohort, honest.bundle)
    found = leak.measure(leaking, "quick")[0]
    assert (found.verdict, found.value) == ("fail", 1.0)
    assert cohort.loc[train, "patient_id"] in found.sentence


def test_acquisition_features_reveal_the_tied_hospital(
    honest: AuditContext, tied: AuditContext
) -> None:
    good, bad = (by_name(metadata.measure(each, "quick")) for each in (honest, tied))
    assert good["all features"].verdict != "fail"
    assert bad["all features"].verdict == bad["file"].verdict == "fail"
    assert "need not read the chest" in bad["file"].sentence
    assert set(bad["file"].details["features"]) >= {"width", "height", "aspect"}


def test_the_site_alone_tells_the_tied_hospital(honest: AuditContext, tied: AuditContext) -> None:
    good, bad = (by_name(confounding.measure(each, "quick")) for each in (honest, tied))
    assert good["site alone"].verdict == good["one class only"].verdict == "pass"
    assert bad["site alone"].value > 0.95
    assert bad["site alone"].verdict == "fail"
    assert bad["one class only"].value == 1.0
    assert "eastgate" in bad["one class only"].sentence
    assert bad["pooled over within, linear probe"].verdict == "info"


def test_images_without_lungs_are_not_informative(honest: AuditContext) -> None:
    found = by_name(lungs_removed.measure(honest, "quick"))
    assert {each.verdict for each in found.values()} <= {"pass", "warn"}
    assert found["lungs removed"].details["images"] == honest.lungs.segmented.sum() > 40
    assert lungs_only.measure(honest, "quick")[0].verdict == "pass"


def test_shuffled_labels_leave_what_the_hospital_tells(
    honest: AuditContext, tied: AuditContext
) -> None:
    good, bad = (by_name(permutation.measure(each, "quick")) for each in (honest, tied))
    assert good["shuffled labels"].verdict == "pass"
    assert good["shuffled labels"].value == pytest.approx(0.5, abs=0.08)
    # within a hospital of one class there is nothing to shuffle: the labels stay the hospital's
    assert bad["shuffled labels"].verdict == "fail"
    assert bad["true labels"].verdict == "info"


def test_an_origin_left_out(honest: AuditContext) -> None:
    found = left_out.measure(honest, "quick")[0]
    assert found.name == "left-out site"
    assert set(found.details["each"]) <= set(honest.rows["site"])
    assert found.verdict in ("pass", "warn")


def test_the_source_probe_has_no_bound(honest: AuditContext) -> None:
    found = source_probe.measure(honest, "quick")[0]
    assert found.verdict == "info"
    assert found.low <= found.value <= found.high
    assert found.value > 0.7  # hospitals have their own grey level curves


def test_seeds_and_size(honest: AuditContext) -> None:
    assert len(stability.measure(honest, "quick")[0].details["aurocs"]) == 3
    found = by_name(size.measure(honest, "quick"))
    assert found["patients of the rarer class"].verdict == "warn"
    assert found["events a million weights"].details["weights"] > 1_000_000


def test_images_of_one_hospital(honest: AuditContext) -> None:
    cohort = honest.cohort.assign(site="one", view="AP")
    one = AuditContext(honest.run, honest.config, cohort, honest.bundle, network=Cells())
    one.images = honest.images  # read once
    found = confounding.measure(one, "quick")
    assert [each.verdict for each in found] == ["warn"]
    assert left_out.measure(one, "quick")[0].verdict == "not made"
    assert source_probe.measure(one, "quick")[0].verdict == "not made"


@pytest.mark.slow
def test_a_network_trained_anew_is_asked_about_others_and_kept(
    honest: AuditContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    from covid_cxr.audit.scores import view_scores
    from covid_cxr.training import experiment

    settings = honest.settings.model_copy(update={"edge": 32, "epochs": 1})
    config = honest.config.model_copy(update={"audit": settings})
    full = AuditContext(honest.run, config, honest.cohort, honest.bundle, network=Cells())
    full.images, full.lungs = honest.images, honest.lungs
    trained_on: list[np.ndarray] = []
    fit = experiment.fit

    def watched(
        config: RunConfig, data: experiment.TrainingData, *rest: object
    ) -> experiment.Trained:
        assert data.inputs.shape[1:] == (1, 32, 32)
        trained_on.append(np.concatenate([data.train, data.val]))
        return fit(config, data, *rest)

    monkeypatch.setattr(experiment, "fit", watched)
    rows, scores = view_scores(full, "frame only", "full")
    found = np.flatnonzero(full.lungs.segmented)
    recorded = set(full.clusters[found[trained_on[0]]])
    assert not recorded & set(full.clusters[rows])
    assert len(rows) + len(trained_on[0]) == len(found)
    assert np.isfinite(scores).all()
    again, same = view_scores(full, "frame only", "full")
    assert np.array_equal(again, rows)
    assert same == pytest.approx(scores)
    assert len(trained_on) == 1
    assert [path.suffix for path in (honest.run / "audit").iterdir()] == [".csv"]


def test_names_are_checked(tiny_config: RunConfig) -> None:
    assert select_checks(tiny_config, ["size", "leak"]) == ["leak", "size"]
    off = tiny_config.model_copy(update={"audit": AuditConfig(off=("leak",))})
    assert len(select_checks(off)) == 11
    with pytest.raises(UnknownName, match="did you mean 'metadata'"):
        select_checks(tiny_config, ["metdata"])


def test_an_audit_of_some_checks(honest: AuditContext, tmp_path: Path) -> None:
    schema.save(honest.cohort, tmp_path / "cohort.csv")
    recorded: list[str] = []
    with reporting(lambda description, done, total: recorded.append(description)):
        report = run_audit(tmp_path, honest.config, honest.bundle, only=["leak"])
    assert report.verdict == "pass"
    assert (tmp_path / "audit.json").exists()
    assert set(recorded) == {"audit"}  # no image was read for a table


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_perturbations_leave_the_middle_of_the_image_unchanged(name: str) -> None:
    """None changes what the lungs show: the middle still correlates with itself."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:200, :160] / 200
    radiograph = (
        0.45 + 0.3 * np.sin(6 * x) * np.cos(5 * y) + 0.02 * rng.random((200, 160))
    ).astype(np.float32)
    donor_image = np.full((220, 180), 0.1, np.float32)
    donor_image[10:26, 12:16] = 0.95
    donor = Donor(donor_image, donor_image > 0.5)
    changed = PERTURBATIONS[name].apply(radiograph, donor, rng)
    assert changed is not None
    half = changed[changed.shape[0] // 4 : -(changed.shape[0] // 4)]
    rows = np.linspace(0, half.shape[0] - 1, 60).astype(int)
    columns = np.linspace(30, half.shape[1] - 31, 40).astype(int)
    if name in ("borders cropped", "frame added", "resolution"):
        assert changed.shape != radiograph.shape
        return
    before = radiograph[50:150][np.ix_(rows, columns)]
    assert np.corrcoef(before.ravel(), half[np.ix_(rows, columns)].ravel())[0, 1] > 0.98
    if name in ("marker added", "marker transplanted"):
        assert (changed != radiograph).mean() > 0.001
    assert find_markers(radiograph).sum() == 0
    assert PERTURBATIONS["marker transplanted"].apply(radiograph, None, rng) is None
