"""Explained, honestly measured COVID-19 prediction from frontal chest X-rays.

    import covid_cxr

    model = covid_cxr.load()
    reading = model.predict("chest.dcm")

Research software, not a medical device.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from covid_cxr.inference import Predictor
    from covid_cxr.models.bundle import Bundle

__all__ = ["__version__", "default_bundle", "load"]

__version__ = version("covid-cxr")


def load(bundle: str | Path | None = None, threads: int | None = None) -> Predictor:
    """Open a model bundle, ready to predict.

    Args:
        bundle: folder or zip; None for the bundle that ships in the package.
        threads: CPU threads; None for all cores.

    Raises:
        BundleError: not a bundle, or damaged.
    """
    from covid_cxr.inference import Predictor
    from covid_cxr.models import bundle as bundles

    return Predictor(bundles.load(bundle) if bundle else default_bundle(), threads)


def default_bundle() -> Bundle:
    """Open the bundle that ships in the package.

    Raises:
        BundleError: it is damaged.
    """
    from covid_cxr.models import bundle as bundles

    return bundles.load(Path(__file__).parent / "bundles" / "default")
