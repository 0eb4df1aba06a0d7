"""A search from beginning to end: its trials, its workers, its results."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import pandas as pd

from covid_cxr.cohort import schema
from covid_cxr.errors import CovidCxrError, InputError
from covid_cxr.progress import report
from covid_cxr.search import checks, output
from covid_cxr.search.folder import COHORT, SearchFolder
from covid_cxr.search.objective import Scorer
from covid_cxr.search.results import Nested, OuterFold, SearchResult
from covid_cxr.search.settings import SearchConfig
from covid_cxr.search.storage import quiet
from covid_cxr.search.study import Counts, best, default_trial, recipe_of, run_one

log = logging.getLogger(__name__)
STORAGE = "COVID_CXR_SEARCH_STORAGE"  # environment of workers: a URL may hold a password
_MOST_DEATHS = 3  # of workers, for each one that was asked for
_POLL = 0.5


def search(
    settings: SearchConfig,
    cohort: pd.DataFrame,
    data_root: Path,
    out: Path,
    *,
    timeout: float | None = None,
    storage: str | None = None,
    workers: int = 1,
    nested: int = 0,
) -> SearchResult:
    """Search, and write `best.yaml`, `trials.csv` and `search.html` to `out`.

    The same call on the same folder continues; of a search that was killed, only the trials that
    were running are repeated. Several processes may share a folder or a storage.

    Args:
        settings: space, objective and budget.
        cohort: as `cohort.schema.load` returns it; only train and val rows are used.
        data_root: folder that the cohort's paths are relative to.
        out: folder of the search.
        timeout: seconds after which no trial is started.
        storage: URL of a relational store; None for SQLite in the folder.
        workers: processes.
        nested: outer folds of the estimate of what choosing gains; 0 for none.

    Raises:
        ConfigError: a space that cannot work; see `checks.check`.
        InputError: the default recipe cannot be trained, or no trial has a score.
    """
    summary = checks.check(settings)
    if summary.impossible:
        count = sum(summary.impossible.values())
        share = f"{count:,} of {summary.checked:,} combinations are skipped"
        log.info("%s, such as: %s", share, next(iter(summary.impossible)))
    folder = SearchFolder.create(
        out, settings, cohort, data_root=data_root, nested=nested, storage=storage
    )
    deadline = time.monotonic() + timeout if timeout else None
    if workers == 1:
        work(folder, deadline)
    else:
        _run_workers(folder, workers, deadline)
    result = _collect(folder)
    output.write(result, out)
    return result


def work(folder: SearchFolder, deadline: float | None = None) -> None:
    """Run trials of a search until all are done, whoever runs the others."""
    studies = folder.studies()
    while True:
        counts = [Counts.of(study, folder.search) for study, _ in studies]
        _report(counts)
        if all(one.is_done for one in counts) or (deadline and time.monotonic() >= deadline):
            return
        for (study, scorer), one in zip(studies, counts, strict=True):
            if one.settled + one.running < one.wanted:
                trials = folder.path / "trials" / study.study_name
                run_one(study, folder.search, scorer, trials)
                break
        else:  # others run the last trials; should one die, its trial is to be repeated
            time.sleep(_POLL)
            with quiet():
                for study, _ in studies:
                    optuna.storages.fail_stale_trials(study)


def _run_workers(folder: SearchFolder, count: int, deadline: float | None) -> None:
    """Start worker processes, and others in place of those that die."""
    studies = [study for study, _ in folder.studies()]
    deaths = 0
    with _processes(folder, count, deadline) as processes:
        while processes:
            time.sleep(_POLL)
            _report([Counts.of(study, folder.search) for study in studies])
            for process in [process for process in processes if process.poll() is not None]:
                processes.remove(process)
                if process.returncode == 0:
                    continue
                if process.returncode > 0:  # it said why
                    raise CovidCxrError("a worker of the search failed; its message is above")
                deaths += 1
                log.warning(
                    "a worker was ended by signal %d; one trial is repeated", -process.returncode
                )
                if deaths > _MOST_DEATHS * count:
                    raise CovidCxrError(
                        f"{deaths} workers were killed; is there too little memory for {count}? "
                        "Give fewer --workers"
                    )
                processes.append(_start(folder, deadline, count))


@contextmanager
def _processes(
    folder: SearchFolder, count: int, deadline: float | None
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Yield running workers; those left at the end are interrupted, then killed."""
    processes = [_start(folder, deadline, count) for _ in range(count)]
    try:
        yield processes
    finally:
        for process in processes:
            process.send_signal(signal.SIGINT)
        for process in processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _start(folder: SearchFolder, deadline: float | None, count: int) -> subprocess.Popen[bytes]:
    """Start a worker; it ends when this process does, because its standard input closes."""
    threads = str(max(1, (os.cpu_count() or 1) // count))
    environment = {"OMP_NUM_THREADS": threads, **os.environ, STORAGE: folder.storage}
    left = [] if deadline is None else [str(max(0.0, deadline - time.monotonic()))]
    command = [sys.executable, "-m", "covid_cxr.search.worker", str(folder.path), *left]
    # in a session of its own, so that Ctrl-C reaches it once, from here
    return subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, start_new_session=True)


def _report(counts: list[Counts]) -> None:
    settled = sum(min(one.settled, one.wanted) for one in counts)
    report("searching", settled, sum(one.wanted for one in counts))


def _collect(folder: SearchFolder) -> SearchResult:
    studies = folder.studies()
    (study, scorer), *outer = studies
    if not default_trial(study):
        raise InputError("the default recipe has no score yet; run the same command for longer")
    nested = None
    if outer and all(Counts.of(study, folder.search).is_done for study, _ in outer):
        nested = _nested(folder, outer)
    elif outer:
        log.warning("no nested estimate yet: not all of its trials are done; run the command again")
    return SearchResult.of(folder.search, study, scorer.constant_prior, nested)


def _nested(folder: SearchFolder, outer: list[tuple[optuna.Study, Scorer]]) -> Nested:
    """Score what each nested study chose, and the default recipe, on patients it never saw."""
    rows = schema.load(folder.path / COHORT)
    folds = []
    for (study, scorer), (_, scored) in zip(outer, folder.outer_folds(rows), strict=True):
        leader, default = best(study), default_trial(study)
        assert default is not None  # all trials are done
        done = study.user_attrs.get("outer")
        if done is None or done["trial"] != leader.number:
            trainings = folder.path / "trials" / study.study_name
            values = [
                scorer.refit(recipe_of(folder.search, trial), scored, trainings / "refit")
                for trial in (leader, default)
            ]
            done = {"trial": leader.number, "values": values}
            study.set_user_attr("outer", done)
        chosen, reference = done["values"]
        folds.append(
            OuterFold(leader.values[0], default.values[0], chosen, reference, leader.params)
        )
    return Nested(tuple(folds))
