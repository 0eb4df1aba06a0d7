"""Research code that is not shipped: training of the helper networks."""
