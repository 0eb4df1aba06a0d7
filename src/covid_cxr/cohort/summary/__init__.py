"""What a cohort holds: counts, missing values, confounding, montages."""
