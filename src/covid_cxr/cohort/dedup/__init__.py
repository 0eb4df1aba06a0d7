"""Duplicates and near-duplicates among images."""
