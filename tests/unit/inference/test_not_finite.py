"""A bundle that answers NaN gives an error with the file's name, never a row of nan."""

from pathlib import Path

import numpy as np
import pytest

from covid_cxr import default_bundle
from covid_cxr.errors import BundleError
from covid_cxr.inference import Predictor
from covid_cxr.inference import runtime as runtimes
from covid_cxr.inference.batch import predict
from covid_cxr.inference.entries import expand
from covid_cxr.inference.predictions_csv import table
from covid_cxr.inference.runtime import Outputs, Runtime, require_finite


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Predictor:
    run = Runtime.run

    def not_a_number(self: Runtime, images: np.ndarray) -> Outputs:
        return run(self, images)._replace(
            logits=np.full((len(images), 2), np.nan, np.float32),
            probabilities=np.full((len(images), 2), np.nan, np.float32),
        )

    monkeypatch.setattr(runtimes.Runtime, "run", not_a_number)
    return Predictor(default_bundle())


def test_its_row_is_an_error_with_the_files_name(broken: Predictor, phantoms: Path) -> None:
    path = sorted((phantoms / "images").glob("*.png"))[0]
    (prediction,) = predict(broken, list(expand([path])))
    if prediction.status == "abstained":
        pytest.skip("the input check rejects this phantom")
    assert (prediction.status, prediction.file) == ("error", str(path))
    assert path.name in prediction.message
    assert "not finite" in prediction.message
    assert "nan" not in table([prediction], broken.classes)
    with pytest.raises(BundleError, match=rf"{path.name}.*not finite"):
        broken.predict(path)


@pytest.mark.usefixtures("broken")
def test_it_is_not_exported() -> None:
    with pytest.raises(BundleError, match=r"the logits that bundle .* not finite"):
        require_finite(default_bundle())


def test_the_shipped_bundle_is_finite() -> None:
    require_finite(default_bundle())
