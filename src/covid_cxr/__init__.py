"""covid-cxr."""
