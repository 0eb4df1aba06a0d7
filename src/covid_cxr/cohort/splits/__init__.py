"""Train, validation and test splits that keep patients and duplicates whole."""
