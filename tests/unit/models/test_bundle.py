"""The bundle: verified on loading, its id the hash of what decides predictions."""

import json
import shutil
from pathlib import Path

import pytest

from covid_cxr.errors import BundleError, CovidCxrError
from covid_cxr.models import bundle, zoo
from covid_cxr.training.export import check_parity


@pytest.fixture
def folder(tiny_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_run / "bundle", tmp_path / "bundle"))


def edit(folder: Path, **changes: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_bundle_describes_itself(folder: Path) -> None:
    manifest = bundle.load(folder).manifest
    assert manifest.classes == ("non-covid-19", "covid-19")
    files = {"model.onnx", "weights.safetensors", "reference.npz", "MODEL_CARD.md"}
    assert set(manifest.files) == files
    assert manifest.preprocess.size == 64
    source = manifest.training_data[0]
    assert source.source == "phantoms"
    assert source.images == sum(source.findings.values())
    assert set(manifest.metrics) == {"val", "test"}
    assert "not a medical device" in (folder / "MODEL_CARD.md").read_text().lower()


def test_an_altered_file_is_refused(folder: Path) -> None:
    with (folder / "model.onnx").open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(BundleError, match=r"model\.onnx.*sha256 differs"):
        bundle.load(folder)


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "weights.safetensors").unlink()
    with pytest.raises(BundleError, match=r"lacks weights\.safetensors"):
        bundle.load(folder)


def test_a_changed_threshold_no_longer_has_the_id(folder: Path) -> None:
    edit(folder, threshold=0.123)
    with pytest.raises(BundleError, match="it was altered"):
        bundle.load(folder)


def test_metrics_and_card_do_not_change_the_id(folder: Path) -> None:
    before = bundle.load(folder)
    (folder / "MODEL_CARD.md").write_text("another card")
    bundle.write_manifest(folder, before.manifest.model_copy(update={"metrics": {}}))
    assert bundle.load(folder).id == before.id


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 99}, "format version 99, this covid-cxr reads 1"),
        ({"temperature": -1}, "'temperature' is invalid"),
        ({"surprise": 1}, "'surprise' is invalid"),
        ({"classes": ["covid-19", "non-covid-19"]}, "classes .* expected"),
        ({"files": {}}, "lists no model.onnx"),
    ],
)
def test_a_manifest_that_does_not_fit(folder: Path, changes: dict, message: str) -> None:
    edit(folder, **changes)
    with pytest.raises(BundleError, match=message):
        bundle.load(folder)


def test_what_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is no bundle"):
        bundle.load(tmp_path)
    (tmp_path / "film.zip").write_text("not a zip")
    with pytest.raises(BundleError, match="neither a folder nor a zip"):
        bundle.load(tmp_path / "film.zip")


@pytest.mark.parametrize("name", ["copied", "copied.zip"])
def test_copy_leaves_weights_out_and_predicts_the_same(
    folder: Path, tmp_path: Path, name: str
) -> None:
    made = bundle.load(folder)
    copied = bundle.copy(made, tmp_path / name, weights=False)
    assert copied.id == made.id
    assert not copied.has_weights
    assert made.has_weights
    with pytest.raises(BundleError, match="exists"):
        bundle.copy(made, tmp_path / name)


def test_the_weights_are_the_graph(tiny_run: Path, phantoms: Path) -> None:
    import numpy as np

    from covid_cxr import imaging

    made = bundle.load(tiny_run / "bundle")
    network = zoo.load_weights(made.folder)
    paths = sorted((phantoms / "images").iterdir())[:4]
    films = np.stack(
        [imaging.preprocess(imaging.read(p).pixels, made.manifest.preprocess) for p in paths]
    )
    assert check_parity(network, made, films) < 1e-5
    with np.errstate(all="ignore"):
        network.head.bias.data[0] += 0.01
    with pytest.raises(CovidCxrError, match="must not be used"):
        check_parity(network, made, films)


def test_the_graph_holds_no_trace_of_the_builder(tiny_run: Path) -> None:
    content = (tiny_run / "bundle" / "model.onnx").read_bytes()
    assert b"site-packages" not in content
    assert str(Path(bundle.__file__).parent).encode() not in content
