"""Public data sets: where they are and how to download them."""
