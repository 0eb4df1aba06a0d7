"""From raw data to an explained, evaluated bundle in one call, resumable at every step."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from covid_cxr import registry
from covid_cxr.audit.run import run_audit, select_checks
from covid_cxr.cohort import build, inventory, notes
from covid_cxr.cohort.splits.hold_out import HoldOutUnits
from covid_cxr.config import RunConfig
from covid_cxr.config.audit import Budget
from covid_cxr.models import zoo
from covid_cxr.models.bundle import Bundle
from covid_cxr.pipeline.evaluate import evaluate
from covid_cxr.pipeline.examples import explain_settings
from covid_cxr.pipeline.run_folder import RunFolder
from covid_cxr.report import write_report
from covid_cxr.results import AuditResult, HoldOutValidation

log = logging.getLogger(__name__)


def run(
    config: RunConfig, data_root: Path, out: Path, *, command: str, processes: int = 1
) -> RunFolder:
    """Build the cohort, train, audit, evaluate, explain examples and write the report.

    Called again on the same folder with the same configuration it continues where it was; a
    finished run is left as it is, so that the test split is not evaluated again.

    Args:
        config: the experiment.
        data_root: folder of the data sets.
        out: run folder.
        command: how to repeat the run; goes into bundle, card and report.
        processes: how many read images at a time, as for `cohort.build.build`.

    Raises:
        UnknownName: no such model, explainer or check; raised before anything is written.
    """
    check_names(config)
    folder = RunFolder.create(out, config, data_root, command)
    if not (out / "cohort.csv").exists():
        built = build.build(
            data_root,
            config.cohort,
            config.seed,
            files=out / inventory.NAME,
            max_pixels=config.preprocess.max_pixels,
            processes=processes,
        )
        build.write(built, out)
        for warning in notes.warnings(built):
            log.warning("cohort: %s", warning)
        folder.write_environment()
    bundle = train(folder)
    audit_unless_done(folder)  # before the test split is read, which an audit does not need
    evaluated = folder.has_metrics and folder.metrics().bundle == bundle.id
    if evaluated and (out / "report.html").exists():
        log.info("'%s' is evaluated already", out)
        return folder
    return evaluate(folder)


def check_names(config: RunConfig) -> None:
    """Raise an error for a model, explainer, check or setting of an explainer that does not exist.

    Raises:
        UnknownName: the message suggests the closest.
        InputError: a setting of an explainer is out of bounds.
    """
    registry.check("model", config.model, zoo.ARCHITECTURES, zoo.GROUP)
    for method in config.explain.methods:
        explain_settings(config, method)
    select_checks(config)


def train(folder: RunFolder) -> Bundle:
    """Train the run's model on its cohort, unless that is done."""
    if folder.is_trained:
        log.info("'%s' is trained already", folder.path)
        return folder.bundle()
    check_names(folder.config)
    from covid_cxr.training.run import train as train_bundle

    root, command = folder.data_root, folder.command
    return train_bundle(folder.config, folder.cohort(), root, folder.path, command=command)


def hold_out_validation(
    folder: RunFolder, seeds: int, units: HoldOutUnits = "both"
) -> HoldOutValidation:
    """Score the recipe on sources and sites left out; see `training.hold_out_validation`."""
    from covid_cxr.training.hold_out_validation import hold_out_validation as protocol

    cohort, root = folder.cohort(), folder.data_root
    return protocol(folder.config, cohort, root, folder.path, seeds=seeds, units=units)


def audit(
    folder: RunFolder, *, budget: Budget | None = None, only: Sequence[str] = ()
) -> AuditResult:
    """Audit a trained run, and write its report anew if it is evaluated.

    Args:
        folder: the run; a leak in its cohort is a finding, not an error.
        budget: None for what the run's configuration says ("quick" if it says none).
        only: names of checks; empty for all.

    Raises:
        InputError: the run holds no finished bundle.
        UnknownName: no such check.
    """
    own = folder.config.audit.budget
    wanted: Budget = budget or (own if own != "none" else "quick")
    result = run_audit(folder.path, folder.config, folder.bundle(), budget=wanted, only=only)
    if (folder.path / "report.html").exists():
        write_report(folder.path)
    return result


def audit_unless_done(folder: RunFolder) -> None:
    """Audit as the run's configuration says, unless it says none or this bundle is audited."""
    budget = folder.config.audit.budget
    if budget == "none":
        return
    before = folder.audit()
    if before and (before.bundle, before.budget) == (folder.bundle().id, budget):
        log.info("'%s' is audited already", folder.path)
        return
    log.info("audit: %s", audit(folder, budget=budget).summary)
