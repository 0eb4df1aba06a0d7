"""Training of the network that finds the lungs, on masks that radiologists drew."""

from research.lung_segmentation.experiment import Settings, train_lungs

__all__ = ["Settings", "train_lungs"]
