"""Networks and the bundles they are shipped in."""
