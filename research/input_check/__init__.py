"""Fitting of the gate: what is no upright frontal chest radiograph, and how well that is told."""

from research.input_check.experiment import Settings, fit_gate

__all__ = ["Settings", "fit_gate"]
