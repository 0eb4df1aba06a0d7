"""Explanations as pictures, pages and sentences."""
