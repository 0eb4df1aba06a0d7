"""DICOM objects -> pixels: parsing, decoding, LUTs and windows.

GDCM, which pydicom imports, looks for two modules of Python 2 and takes a folder of such a
name where Python was started, as `dl` for downloads, for one. It is imported here first, with
both names marked as absent.
"""

import sys

_PYTHON_2 = {name: None for name in ("dl", "DLFCN") if name not in sys.modules}
sys.modules.update(_PYTHON_2)  # type: ignore[arg-type]
import gdcm  # type: ignore[import-untyped]  # noqa: E402, F401

for _name in _PYTHON_2:
    sys.modules.pop(_name)
