"""Does the audit fail when it should, and only then? Phantoms with and without shortcuts.

For each seed one cohort of phantoms of five hospitals is drawn four times: honest, and with
COVID-19 tied to burnt-in text, to a bar at the lower edge, or to half of the resolution. Each goes
through the quick audit: an honest one through all checks that need no trained model, one with a
shortcut through those that should notice. Counted are honest cohorts in which any check fails
(false alarms), and cohorts with a shortcut in which any of those does (detections).

    python benchmarks/audit.py --seeds 1 20 --work work --out audit.csv

Markers are left on the images, as if the recipe trusted them; acquisition features do not depend
on that. Cohorts that are done are not drawn or audited again.
"""

from __future__ import annotations

import argparse
import json
import time
from functools import cache
from pathlib import Path

import pandas as pd

from covid_cxr import default_bundle
from covid_cxr.audit import CHECKS, run_audit
from covid_cxr.cohort import build
from covid_cxr.config import AuditConfig, CohortConfig, DatasetConfig, PreprocessSpec, RunConfig
from covid_cxr.metrics import clopper_pearson
from covid_cxr.phantoms import cohort as phantoms
from covid_cxr.training.feature_extractor import FeatureExtractor

SHORTCUTS = ("none", "marker", "border", "resolution")
# What should notice a shortcut, whichever it is; one of them is enough.
MATCHING = ("metadata", "lungs-removed")
NEED_A_MODEL = ("perturbation", "explanations")
SETTINGS = AuditConfig(size=96, off=NEED_A_MODEL)


def main() -> None:
    """Audit every cohort and print the counts with exact intervals."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs=2, default=(1, 20), metavar=("FIRST", "LAST"))
    parser.add_argument("--patients", type=int, default=40)
    parser.add_argument("--work", type=Path, required=True, help="folder for cohorts and audits")
    parser.add_argument("--out", type=Path, required=True, help="CSV of all findings")
    options = parser.parse_args()
    phantoms.draw = cache(phantoms.draw)  # the four cohorts of a seed share their chests
    network = None
    rows = []
    for seed in range(options.seeds[0], options.seeds[1] + 1):
        for shortcut in SHORTCUTS:
            folder = options.work / f"{shortcut}-{seed}"
            if not (folder / "audit.json").exists():
                network = network or FeatureExtractor(SETTINGS.size, threads=1)
                audited(folder, seed, shortcut, options.patients, network)
            rows += findings(folder, seed, shortcut)
        phantoms.draw.cache_clear()
        table = pd.DataFrame(rows)
        table.to_csv(options.out, index=False)
    show(table)


def audited(
    folder: Path, seed: int, shortcut: phantoms.Shortcut, patients: int, network: FeatureExtractor
) -> None:
    """Draw a cohort into `folder/images` and leave its audit in `folder`."""
    started, data = time.process_time(), folder / "images"
    phantoms.write_cohort(data, patients=patients, seed=seed, shortcut=shortcut, duplicates=3)
    config = RunConfig(
        seed=seed,
        data_root=str(data),
        cohort=CohortConfig(
            datasets={"phantoms": DatasetConfig(adapter="csv", path="manifest.csv")},
            train=0.8,
            val=0.1,
            test=0.1,
        ),
        preprocess=PreprocessSpec(remove_markers=False),
        audit=SETTINGS,
    )
    build.write(build.build(data, config.cohort, seed), folder)
    only = () if shortcut == "none" else MATCHING
    report = run_audit(folder, config, default_bundle(), only=only, network=network)
    seconds = time.process_time() - started
    print(f"{shortcut} {seed}: {report.summary} ({seconds:.0f} s of processor)", flush=True)


def findings(folder: Path, seed: int, shortcut: str) -> list[dict[str, object]]:
    """Return a row for each finding of an audit."""
    audit = json.loads((folder / "audit.json").read_text("utf-8"))
    columns = ("value", "low", "high", "bound", "verdict")
    return [
        {"seed": seed, "shortcut": shortcut, "check": check["name"], "finding": finding["name"]}
        | {column: finding[column] for column in columns}
        for check in audit["checks"]
        for finding in check["findings"]
    ]


def show(table: pd.DataFrame) -> None:
    """Print false alarms and detections, overall and check by check."""
    failed = table[table["verdict"] == "fail"]
    for shortcut in SHORTCUTS:
        seeds = table.loc[table["shortcut"] == shortcut, "seed"].nunique()
        own = failed[failed["shortcut"] == shortcut]
        what = "false alarms" if shortcut == "none" else "detections"
        print(f"{shortcut}: {what} {share(own['seed'].nunique(), seeds)}")
        for check in CHECKS:
            count = failed[(failed["shortcut"] == shortcut) & (failed["check"] == check)][
                "seed"
            ].nunique()
            if count:
                print(f"    {check} fails {share(count, seeds)}")


def share(count: int, trials: int) -> str:
    """Return "19 of 20 (0.751-0.999)", the exact 95 % interval."""
    low, high = clopper_pearson(count, trials)
    return f"{count} of {trials} ({low:.3f}-{high:.3f})"


if __name__ == "__main__":
    main()
