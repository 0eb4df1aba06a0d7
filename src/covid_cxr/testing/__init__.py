"""Contract test suites that a plugin must pass."""
