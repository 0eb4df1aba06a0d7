"""The bundle: verified on loading, its id the hash of what decides predictions."""

import json
import shutil
import stat
import zipfile
from pathlib import Path

import pytest

import covid_cxr
from covid_cxr.errors import BundleError, CovidCxrError
from covid_cxr.models import bundle, zoo
from covid_cxr.models.manifest import read_manifest
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


def test_an_altered_file_is_an_error(folder: Path) -> None:
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
        ({"files": {"../model.onnx": "a"}}, "'files' is invalid"),
        ({"files": {"/etc/passwd": "a"}}, "'files' is invalid"),
    ],
)
def test_a_manifest_that_does_not_fit(folder: Path, changes: dict, message: str) -> None:
    edit(folder, **changes)
    with pytest.raises(BundleError, match=message):
        bundle.load(folder)


def test_what_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is no bundle"):
        bundle.load(tmp_path)
    (tmp_path / "image.zip").write_text("not a zip")
    with pytest.raises(BundleError, match="neither a folder nor a zip"):
        bundle.load(tmp_path / "image.zip")


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
    radiographs = np.stack(
        [imaging.preprocess(imaging.read(p).pixels, made.manifest.preprocess) for p in paths]
    )
    assert check_parity(network, made, radiographs) < 1e-5
    with np.errstate(all="ignore"):
        network.head.bias.data[0] += 0.01
    with pytest.raises(CovidCxrError, match="must not be used"):
        check_parity(network, made, radiographs)


def test_the_graph_holds_no_trace_of_the_builder(tiny_run: Path) -> None:
    content = (tiny_run / "bundle" / "model.onnx").read_bytes()
    assert b"site-packages" not in content
    assert str(Path(bundle.__file__).parent).encode() not in content


def zipped(path: Path, files: dict[str, bytes], **attributes: int) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            for key, value in attributes.items():
                setattr(entry, key, value)
            archive.writestr(entry, content)
    return path


@pytest.mark.parametrize("name", ["../outside.txt", "/outside.txt", "a/../../outside.txt"])
def test_an_archive_writes_nowhere_else(tmp_path: Path, name: str) -> None:
    with pytest.raises(BundleError, match="a path outside its folder"):
        bundle.load(zipped(tmp_path / "bundle.zip", {name: b"x"}))
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["bundle.zip"]


def test_an_archive_holds_no_links(tmp_path: Path) -> None:
    link = (stat.S_IFLNK | 0o777) << 16
    path = zipped(tmp_path / "bundle.zip", {"manifest.json": b"/etc/passwd"}, external_attr=link)
    with pytest.raises(BundleError, match=r"holds 'manifest\.json', a link"):
        bundle.load(path)


def test_an_archive_of_many_files_is_not_unpacked(tmp_path: Path) -> None:
    path = zipped(tmp_path / "bundle.zip", {f"{number}": b"" for number in range(101)})
    with pytest.raises(BundleError, match="holds 101 files, at most 100"):
        bundle.load(path)


def test_an_archive_that_unpacks_to_far_more_is_not_unpacked(tmp_path: Path) -> None:
    path = zipped(tmp_path / "bundle.zip", {"manifest.json": bytes(10_000_000)})
    with pytest.raises(BundleError, match=r"unpacks to 10000000 bytes, \d+ times its size"):
        bundle.load(path)


def test_an_archive_over_the_limit_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "_MOST_BYTES", 10)
    with pytest.raises(BundleError, match="at most 10 bytes"):
        bundle.load(zipped(tmp_path / "bundle.zip", {"manifest.json": b"0123456789a"}))


def test_a_damaged_archive_is_named(folder: Path, tmp_path: Path) -> None:
    bundle.copy(bundle.load(folder), tmp_path / "bundle.zip")
    content = bytearray((tmp_path / "bundle.zip").read_bytes())
    content[5000:6000] = bytes(1000)
    (tmp_path / "damaged.zip").write_bytes(content)
    with pytest.raises(BundleError, match="neither a folder nor a zip"):
        bundle.load(tmp_path / "damaged.zip")


def test_a_graph_reads_no_other_file(folder: Path) -> None:
    import onnx

    model = onnx.load(folder / "model.onnx")
    (folder / "secret.bin").write_bytes(bytes(4 * 64 * 64))
    onnx.save(model, folder / "model.onnx", save_as_external_data=True, location="secret.bin")
    bundle.seal(folder, read_manifest(folder))
    with pytest.raises(BundleError, match="ONNX external data") as raised:
        bundle.load(folder)
    assert "\n" not in str(raised.value)


@pytest.fixture
def own_lungs(folder: Path) -> Path:
    """A bundle that crops to the lungs, with a lung network of its own."""
    for name in ("lungs.onnx", "lungs.json"):
        shutil.copyfile(bundle.SHIPPED_LUNGS / name, folder / name)
    manifest = read_manifest(folder)
    spec = manifest.preprocess.model_copy(update={"lung_margin": 0.1})
    bundle.seal(folder, manifest.model_copy(update={"preprocess": spec}))
    return folder


def test_a_lung_network_that_the_package_has_need_not_lie_beside(own_lungs: Path) -> None:
    whole = bundle.load(own_lungs)
    assert whole.lungs == own_lungs
    for name in ("lungs.onnx", "lungs.json"):
        (own_lungs / name).unlink()
    assert bundle.load(own_lungs).lungs == bundle.SHIPPED_LUNGS
    assert bundle.load(own_lungs).id == whole.id


def test_a_lung_network_that_the_package_has_not_is_missing(own_lungs: Path) -> None:
    edited = json.loads((own_lungs / "lungs.json").read_text()) | {"created": "another day"}
    (own_lungs / "lungs.json").write_text(json.dumps(edited))
    bundle.seal(own_lungs, read_manifest(own_lungs))
    assert bundle.load(own_lungs).lungs == own_lungs
    (own_lungs / "lungs.json").unlink()
    with pytest.raises(BundleError, match=r"lacks lungs\.json; copy it again"):
        bundle.load(own_lungs)


@pytest.mark.parametrize("name", ["copied", "copied.zip"])
def test_a_copy_carries_its_own_lung_network(tmp_path: Path, name: str) -> None:
    copied = bundle.copy(covid_cxr.default_bundle(), tmp_path / name)
    assert copied.id == covid_cxr.default_bundle().id
    assert copied.lungs == copied.folder
    assert {"lungs.onnx", "lungs.json"} <= {path.name for path in copied.folder.iterdir()}
