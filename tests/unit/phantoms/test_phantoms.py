"""Synthetic radiographs: anatomy, disease as defined, cohorts with and without a shortcut."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import label

from covid_cxr.errors import InputError, UnknownName
from covid_cxr.phantoms import HOSPITALS, Phantom, draw, write_cohort
from covid_cxr.progress import reporting
from covid_cxr.types import FINDINGS

COLUMNS = ("image_id", "path", "patient_id", "finding", "site", "view", "sex", "age")
NAMES = [hospital.name for hospital in HOSPITALS]
SIZE = 160
seeds = st.integers(0, 2**31 - 1)
sites = st.sampled_from(NAMES)
few = settings(max_examples=12, deadline=None, derandomize=True)


def read_rows(manifest: Path) -> list[dict[str, str]]:
    with manifest.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def two_lungs(phantom: Phantom) -> tuple[np.ndarray, np.ndarray]:
    """The lung on the viewer's left (the patient's right) and the other one."""
    parts, _ = label(phantom.lungs)
    sizes = np.bincount(parts.ravel())[1:]
    largest = np.argsort(-sizes)[:2] + 1
    masks = [parts == number for number in largest]
    masks.sort(key=lambda mask: float(np.nonzero(mask)[1].mean()))
    return masks[0], masks[1]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cohort(tmp_path_factory.mktemp("plain"), patients=20, seed=7, duplicates=6)


# One radiograph -----------------------------------------------------------------------------


@given(seed=seeds, site=sites, finding=st.sampled_from(FINDINGS))
@few
def test_one_grid_and_range(seed, site, finding):
    phantom = draw(finding, seed, hospital=site, size=SIZE)
    assert phantom.pixels.dtype == np.float32
    assert max(phantom.pixels.shape) == SIZE
    assert phantom.pixels.min() >= 0 and phantom.pixels.max() <= 1
    for mask in (phantom.lungs, phantom.opacities):
        assert mask.dtype == bool and mask.shape == phantom.pixels.shape
    assert not (phantom.opacities & ~phantom.lungs).any()
    assert 0.12 < phantom.lungs.mean() < 0.5
    assert (phantom.finding, phantom.hospital) == (finding, site)
    assert phantom.view in ("PA", "AP") and phantom.sex in ("F", "M") and 18 < phantom.age < 91


@given(seed=seeds, site=sites)
@few
def test_healthy_chest_looks_like_one(seed, site):
    phantom = draw("normal", seed, hospital=site, size=SIZE)
    right, left = two_lungs(phantom)
    pixels = phantom.pixels
    assert not phantom.opacities.any()
    # Two lungs beside each other, the patient's right one larger: the heart takes from the left.
    assert np.nonzero(right)[1].max() < np.nonzero(left)[1].min()
    assert right.sum() > left.sum()
    low = int(np.quantile(np.nonzero(phantom.lungs)[0], 0.75))
    inner_right = int(np.nonzero(right[low])[0].max())
    inner_left = int(np.nonzero(left[low])[0].min())
    # What lies between the lungs is far brighter than they are.
    between = pixels[low - 3 : low + 3, inner_right + 3 : inner_left - 3]
    assert between.mean() > pixels[phantom.lungs].mean() + 0.15
    # Air round the neck is darker than any tissue: the darkest pixels are outside the lungs.
    assert pixels.min() <= pixels[phantom.lungs].min() + 0.02


@given(seed=seeds, site=sites)
@few
def test_heart_bulges_to_the_viewers_right(seed, site):
    phantom = draw("normal", seed, hospital=site, size=SIZE)
    right, left = two_lungs(phantom)
    rows, columns = np.nonzero(phantom.lungs)
    low = int(np.quantile(rows, 0.72))
    spine = (columns.min() + columns.max()) / 2
    to_the_right = np.nonzero(left[low])[0].min() - spine
    to_the_left = spine - np.nonzero(right[low])[0].max()
    assert to_the_right > 1.2 * to_the_left
    # At equal distance from the spine: heart on one side, lung on the other.
    near, far = int(to_the_left) + 2, int(to_the_right) - 2
    band = phantom.pixels[low - 4 : low + 4]
    heart = band[:, int(spine) + near : int(spine) + far]
    lung = band[:, int(spine) - far : int(spine) - near]
    assert heart.mean() > lung.mean() + 0.08


@given(seed=seeds, site=sites)
@few
def test_covid_is_bilateral_peripheral_and_low(seed, site):
    phantom = draw("covid-19", seed, hospital=site, size=SIZE)
    for lung in two_lungs(phantom):
        rows, columns = np.nonzero(lung)
        diseased = phantom.opacities & lung
        assert 0.08 < diseased.sum() / lung.sum() < 0.75
        diseased_rows, diseased_columns = np.nonzero(diseased)
        assert np.mean(diseased_rows > np.median(rows)) > 0.5
        # Peripheral: on average farther from the middle of the chest than healthy lung is.
        spine = np.nonzero(phantom.lungs)[1].mean()
        assert np.abs(diseased_columns - spine).mean() > np.abs(columns - spine).mean()


@given(seed=seeds, site=sites)
@few
def test_pneumonia_fills_part_of_one_lung(seed, site):
    phantom = draw("pneumonia", seed, hospital=site, size=SIZE)
    shares = sorted((phantom.opacities & lung).sum() / lung.sum() for lung in two_lungs(phantom))
    assert shares[0] == 0
    assert 0.15 < shares[1] < 0.85
    parts = np.bincount(label(phantom.opacities, structure=np.ones((3, 3)))[0].ravel())[1:]
    assert parts.max() > 0.9 * parts.sum()


@given(seed=seeds, site=sites, finding=st.sampled_from(["pneumonia", "covid-19"]))
@few
def test_disease_and_nothing_else_tells_the_findings_apart(seed, site, finding):
    diseased = draw(finding, seed, hospital=site, size=SIZE)
    healthy = draw("normal", seed, hospital=site, size=SIZE)
    change = diseased.pixels - healthy.pixels
    assert np.array_equal(diseased.lungs, healthy.lungs)
    assert (diseased.view, diseased.sex, diseased.age) == (healthy.view, healthy.sex, healthy.age)
    assert change[diseased.opacities].mean() > 0.08
    # Only scattered radiation reaches beyond the lungs.
    assert np.abs(change[~diseased.lungs]).mean() < 0.012


def test_same_seed_same_picture_and_other_seed_another():
    one, two, other = draw("covid-19", 5), draw("covid-19", 5), draw("covid-19", 6)
    assert np.array_equal(one.pixels, two.pixels)
    assert np.array_equal(one.opacities, two.opacities)
    assert one.pixels.shape != other.pixels.shape or not np.array_equal(one.pixels, other.pixels)


def test_another_visit_is_the_same_patient_placed_differently():
    first, second = (draw("normal", 11, visit=visit, view="PA", size=SIZE) for visit in (0, 1))
    stranger = draw("normal", 12, view="PA", size=SIZE)
    assert (first.sex, first.age, first.patient_id) == (second.sex, second.age, second.patient_id)
    assert not np.array_equal(first.pixels, second.pixels)
    assert second.patient_id != stranger.patient_id


@pytest.mark.parametrize("hospital", HOSPITALS, ids=NAMES)
def test_every_hospital_keeps_its_shape_and_burns_its_markers_in(hospital):
    phantom = draw("normal", 3, hospital=hospital.name, view="AP")
    assert phantom.pixels.shape == hospital.shape
    height, width = hospital.shape
    marker = next(marker for marker in hospital.markers if marker.view in (None, "AP"))
    x, y = (marker.at[0] * width, marker.at[1] * height)
    reach = 0.06 * max(height, width)
    box = phantom.pixels[int(y - reach) : int(y + reach), max(0, int(x - reach)) : int(x + reach)]
    assert box.max() > 0.75


def test_unknown_names_are_told_with_the_known_ones():
    with pytest.raises(UnknownName, match="did you mean 'covid-19'"):
        draw("covid19", 0)
    with pytest.raises(UnknownName, match="did you mean 'eastgate'"):
        draw("normal", 0, hospital="eastgat")


# A cohort -----------------------------------------------------------------------------------


def test_manifest_lists_every_image_with_its_masks(plain):
    root, rows = plain.parent, read_rows(plain)
    assert list(rows[0]) == list(COLUMNS)
    assert len({row["image_id"] for row in rows}) == len(rows)
    assert {row["path"] for row in rows} == {
        path.relative_to(root).as_posix() for path in (root / "images").iterdir()
    }
    for row in rows:
        with Image.open(root / row["path"]) as image:
            size, mode = image.size, image.mode
        assert mode == "L"
        for kind in ("lungs", "opacities"):
            with Image.open(root / "masks" / kind / f"{row['image_id']}.png") as mask:
                assert (mask.mode, mask.size) == ("1", size)
                assert np.asarray(mask).any() == (kind == "lungs" or row["finding"] != "normal")


def test_shares_of_findings_and_images_per_patient(plain):
    patients = defaultdict(list)
    for row in read_rows(plain):
        patients[row["patient_id"]].append(row)
    own = {key: rows for key, rows in patients.items() if int(key[1:]) <= 20}
    assert Counter(rows[0]["finding"] for rows in own.values()) == {
        "normal": 8,
        "pneumonia": 5,
        "covid-19": 7,
    }
    assert {len(rows) for rows in own.values()} == {1, 2, 3}
    for rows in own.values():
        assert len({(row["finding"], row["site"], row["sex"], row["age"]) for row in rows}) == 1


def test_planted_duplicates_have_another_patient(plain):
    root, rows = plain.parent, read_rows(plain)
    by_hash = defaultdict(list)
    for row in rows:
        by_hash[digest(root / row["path"])].append(row)
    twins = [group for group in by_hash.values() if len(group) > 1]
    assert len(twins) == 2
    for group in twins:
        assert len({row["patient_id"] for row in group}) == 2
        assert len({(row["finding"], row["site"]) for row in group}) == 1
    duplicates = [row for row in rows if int(row["patient_id"][1:]) > 20]
    assert len(duplicates) == 6
    assert [Path(row["path"]).suffix for row in duplicates].count(".jpg") == 2


def test_near_duplicates_show_the_same_picture_in_other_bytes(plain):
    root, rows = plain.parent, read_rows(plain)
    small = {}
    for row in rows:
        with Image.open(root / row["path"]) as image:
            small[row["image_id"]] = np.asarray(image.resize((32, 32)), float)
    duplicates = [row["image_id"] for row in rows if int(row["patient_id"][1:]) > 20]
    for copy in duplicates:
        nearest = min(
            (name for name in small if name not in duplicates),
            key=lambda name: float(np.abs(small[name] - small[copy]).mean()),
        )
        assert np.abs(small[nearest] - small[copy]).mean() < 2.0


def plan(root: Path, shortcut: str, patients: int) -> dict[tuple[str, str], int]:
    """Patients by finding and hospital, from the manifest alone."""
    rows = read_rows(write_cohort(root, patients=patients, seed=3, shortcut=shortcut, duplicates=0))
    patients = {(row["patient_id"], row["finding"], row["site"]) for row in rows}
    return Counter((finding, site) for _, finding, site in patients)


@pytest.fixture
def no_drawing(monkeypatch):
    """Replace the drawing of pixels, so that a test of the plan can afford many patients."""
    blank = np.zeros((8, 8), np.float32)

    def blank_phantom(finding, seed, *, visit, hospital):
        return Phantom(blank, blank > 0, blank > 0, finding, hospital, "PA", "F", 40, "P")

    monkeypatch.setattr("covid_cxr.phantoms.cohort.draw", blank_phantom)


@pytest.mark.usefixtures("no_drawing")
def test_plain_finding_is_independent_of_the_hospital(tmp_path):
    counts = plan(tmp_path, "none", 200)
    for finding, total in {"normal": 80, "pneumonia": 50, "covid-19": 70}.items():
        assert [counts[finding, name] for name in NAMES] == [total // 5] * 5


@pytest.mark.usefixtures("no_drawing")
def test_injected_finding_depends_on_the_hospital(tmp_path):
    counts = plan(tmp_path, "hospital", 100)
    assert counts["covid-19", NAMES[0]] == 35
    assert sum(counts[finding, NAMES[0]] for finding in ("normal", "pneumonia")) == 0
    assert sum(counts["covid-19", name] for name in NAMES[1:]) == 0
    assert all(counts["normal", name] == 10 for name in NAMES[1:])


def test_same_seed_same_bytes_and_a_patient_does_not_depend_on_those_who_follow(tmp_path):
    short, again, long = (tmp_path / name for name in ("short", "again", "long"))
    for root, patients in ((short, 3), (again, 3), (long, 5)):
        write_cohort(root, patients=patients, seed=9, duplicates=0)
    files = sorted(path.relative_to(short) for path in short.rglob("*.png"))
    assert digest(short / "manifest.csv") == digest(again / "manifest.csv")
    for file in files:
        assert digest(short / file) == digest(again / file) == digest(long / file)
    assert read_rows(long / "manifest.csv")[: len(files) // 3] == read_rows(short / "manifest.csv")


@pytest.mark.usefixtures("no_drawing")
def test_progress_counts_to_the_end(tmp_path):
    reports: list[tuple[str, int, int]] = []
    with reporting(lambda *step: reports.append(step)):
        manifest = write_cohort(tmp_path, patients=4, seed=1, duplicates=2)
    total = len(read_rows(manifest))
    assert reports == [("drawing phantoms", done, total) for done in range(1, total + 1)]


@pytest.mark.parametrize(
    ("patients", "duplicates", "message"), [(0, 0, "patients is 0"), (1, 99, "duplicates is 99")]
)
def test_impossible_numbers_are_rejected(tmp_path, patients, duplicates, message):
    with pytest.raises(InputError, match=message):
        write_cohort(tmp_path, patients=patients, seed=0, duplicates=duplicates)
