"""One audit check a file."""
