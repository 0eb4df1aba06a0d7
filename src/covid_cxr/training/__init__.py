"""From a cohort to trained weights and an exported bundle (needs the `train` extra)."""
