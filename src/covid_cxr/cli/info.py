"""The command info: what is installed, for bug reports."""

from __future__ import annotations

import os
import platform
import re
from collections import defaultdict
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from covid_cxr.cli import output
from covid_cxr.cli.options import AsJson
from covid_cxr.types import DISCLAIMER

_PACKAGES = (
    *("numpy", "scipy", "pandas", "scikit-image", "scikit-learn", "pillow", "pydicom", "pydantic"),
    *("typer", "onnxruntime", "torch", "lightning", "monai"),
)
_DATA_ROOT = "COVID_CXR_DATA"  # where the tests and scripts look for the data sets
# Of a line of package metadata such as "torch<2.14,>=2.9; extra == 'train'".
_NAME, _EXTRA = re.compile(r"[A-Za-z0-9._-]+"), re.compile(r"extra\s*==\s*['\"]([^'\"]+)")


def info(json: AsJson = False) -> None:
    """Print versions, the default model, installed extras and processors, to paste in bug reports.

    It names no user, host or folder.

    Examples:

    `covid-cxr info`

    `covid-cxr info --json`
    """
    details = _details()
    if json:
        output.as_json(details)
        return
    for name, value in details.items():
        text = ", ".join(_items(value))
        output.out.print(f"{name}: {text}", soft_wrap=True, markup=False, highlight=False)


def _details() -> dict[str, Any]:
    import onnxruntime

    from covid_cxr import __version__, default_bundle

    bundle = default_bundle()
    return {
        "covid-cxr": __version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": platform.platform(),
        "processors": f"{_usable_processors()} of {os.cpu_count()} usable",
        "default bundle": f"{bundle.manifest.name} {bundle.id} ({bundle.manifest.architecture})",
        "extras": _extras(),
        "packages": {name: _version(name) or "not installed" for name in _PACKAGES},
        "onnxruntime providers": onnxruntime.get_available_providers(),
        "data root": _data_root(),
        "notice": DISCLAIMER,
    }


def _items(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [f"{name} {text}" for name, text in value.items()]
    return list(value) if isinstance(value, list) else [str(value)]


def _usable_processors() -> int:
    """Return the processors that this process may use, which containers limit."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _extras() -> dict[str, str]:
    """Return each optional extra, and "installed" or the packages that it lacks."""
    missing: dict[str, list[str]] = defaultdict(list)
    for line in requires("covid-cxr") or ():
        extra, name = _EXTRA.search(line), _NAME.match(line)
        if extra and name:
            lacks = missing[extra[1]]
            lacks += [] if _version(name[0]) else [name[0]]
    return {
        extra: f"lacks {', '.join(names)}" if names else "installed"
        for extra, names in missing.items()
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _data_root() -> str:
    folder = os.environ.get(_DATA_ROOT)
    if not folder:
        return f"{_DATA_ROOT} is not set"
    return f"{_DATA_ROOT} is set" + ("" if Path(folder).is_dir() else ", to no folder")
