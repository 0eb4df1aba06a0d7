"""Fixtures that several test files share."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The real data sets: $COVID_CXR_DATA, or `shared/datasets` beside the repository."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "datasets"
    folder = Path(os.environ.get("COVID_CXR_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"real data sets not at hand: '{folder}' is no folder; set COVID_CXR_DATA")
    return folder
