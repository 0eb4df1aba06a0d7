"""Train, validation and test splits that keep patients and duplicates whole.

`strategies.assign` chooses what becomes test, `grouped` assigns patients at random to splits and
folds, `hold_out` lists what whole sources and sites can be held out, `leakage.find_leaks` looks for
patients or duplicates on two sides, `warnings` names splits that cannot be scored.
"""
