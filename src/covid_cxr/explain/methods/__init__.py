"""One explanation method a file."""
