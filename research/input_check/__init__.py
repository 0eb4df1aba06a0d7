"""Fitting of the input check, which rejects anything but upright frontal chest radiographs."""

from research.input_check.experiment import Settings, fit_input_check

__all__ = ["Settings", "fit_input_check"]
