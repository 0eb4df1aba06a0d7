"""From a bundle and a file to an explained prediction; needs no torch."""

from covid_cxr.inference.predictor import Predictor, Reading
from covid_cxr.inference.runtime import Runtime

__all__ = ["Predictor", "Reading", "Runtime"]
