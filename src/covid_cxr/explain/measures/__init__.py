"""How good an explanation is: faithfulness, localisation, stability, sanity checks."""
