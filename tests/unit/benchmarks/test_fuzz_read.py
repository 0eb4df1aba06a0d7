"""The fuzz benchmark fails where something escaped, crashed or took too much memory."""

from collections import Counter
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from support.mutants import IMAGE
from support.valid_files import seeds

SCRIPT = Path(__file__).resolve().parents[3] / "benchmarks" / "fuzz_read.py"


@pytest.fixture(scope="module")
def fuzz() -> ModuleType:
    spec = spec_from_file_location("fuzz_read", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_exit_status_says_whether_it_held(fuzz: ModuleType) -> None:
    fine = Counter({fuzz.IMAGE: 5, fuzz.REJECTED: 9})
    assert fuzz.verdict(fine, 769) == 0
    assert fuzz.verdict(fine, 1025) == 1
    assert fuzz.verdict(fine + Counter({fuzz.ESCAPE: 1}), 1) == 1
    assert fuzz.verdict(fine + Counter({fuzz.CRASH: 1}), 1) == 1


def test_headers_of_dicom_files_are_read_too(
    fuzz: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = seeds()["dicom"]
    monkeypatch.setattr(fuzz, "mutant", lambda number, seed: ("dicom", data))
    assert fuzz.answer(0, 0) == (IMAGE, "")

    def escape(data: bytes) -> str:
        raise KeyError("escaped")

    monkeypatch.setattr(fuzz, "header_outcome", escape)
    assert fuzz.answer(0, 0)[0] == fuzz.ESCAPE
