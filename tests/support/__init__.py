"""Test data and helpers that several test files share."""
