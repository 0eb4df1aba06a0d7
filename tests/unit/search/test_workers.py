"""Killed worker processes, and a killed search: each costs the trials that were running."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import optuna
import pandas as pd
import pytest
import yaml
from optuna.trial import TrialState

from covid_cxr import config as configuration
from covid_cxr.cohort import schema
from covid_cxr.search import SearchConfig, search
from covid_cxr.search.folder import STUDY
from covid_cxr.search.storage import open_storage, quiet

pytestmark = pytest.mark.usefixtures("graph_templates")
MAIN = "from covid_cxr.cli import main; main()"
TRIALS = 5


def wait_for(condition: Callable[[], object], what: str, seconds: float = 100) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s until {what}"
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    """Return the processes that a process started."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for path in tasks for child in path.read_text().split()]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for workers in /proc")
def test_kill_9_costs_the_running_trials_alone(
    phantoms: Path,
    phantom_cohort: pd.DataFrame,
    probe: SearchConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("covid_cxr.search.storage._SILENCE", 2)  # seconds to wait for the dead
    # many repeats, so that a worker is killed while it works on a trial
    objective = probe.objective.model_copy(update={"folds": 10, "repeats": 20})
    slow = probe.model_copy(update={"objective": objective, "trials": TRIALS})
    out = tmp_path / "out"
    # reads the radiographs and extracts features, which takes a while, and scores trial 0
    search(slow.model_copy(update={"trials": 1}), phantom_cohort, phantoms, out)
    command = _command(slow, phantom_cohort, phantoms, tmp_path)
    study = optuna.load_study(study_name="probe", storage=_storage(out))

    def running() -> int:
        return sum(trial.state == TrialState.RUNNING for trial in study.get_trials())

    said = tmp_path / "log"
    with said.open("w") as log:
        parent = subprocess.Popen(command, stderr=log, stdout=log, start_new_session=True)
    try:
        wait_for(lambda: running() == 2, "two workers are at work")
        workers = [pid for pid in children(parent.pid) if _is_worker(pid, out)]
        assert len(workers) == 2
        os.kill(workers[0], signal.SIGKILL)
        wait_for(lambda: "ended by signal 9" in said.read_text(), "the death is noticed")
        assert parent.poll() is None
        wait_for(lambda: len(children(parent.pid)) == 2, "another worker is started")
        workers = children(parent.pid)
        wait_for(lambda: running() >= 2, "a worker is at work")
    finally:
        parent.kill()
        parent.wait()
    wait_for(lambda: not any(map(is_running, workers)), "workers end with their parent")

    result = search(slow, phantom_cohort, phantoms, out)
    trials = study.get_trials()
    lost = {trial.number for trial in trials if trial.state == TrialState.FAIL}
    repeated = {n for trial in trials for n in trial.system_attrs.get("retry_history", ())}
    assert 1 <= len(lost) <= 4  # that of the killed worker, those of the killed search
    assert lost == repeated
    assert TRIALS <= len(result.complete) <= TRIALS + 1
    assert {trial.state for trial in trials} == {TrialState.COMPLETE, TrialState.FAIL}
    assert result.default.number == 0


def _command(settings: SearchConfig, cohort: pd.DataFrame, root: Path, folder: Path) -> list[str]:
    raw = settings.model_dump(mode="json") | {"recipe": "recipe.json"}
    (folder / "recipe.json").write_text(configuration.dump(settings.recipe))
    (folder / "search.yaml").write_text(yaml.safe_dump(raw))
    schema.save(cohort, folder / "cohort.csv")
    return [
        *(sys.executable, "-c", MAIN, "search", str(folder / "search.yaml"), "--workers", "2"),
        *("--cohort", str(folder / "cohort.csv"), "--data", str(root)),
        *("--out", str(folder / "out")),
    ]


def _storage(out: Path) -> optuna.storages.RDBStorage:
    with quiet():
        return open_storage(f"sqlite:///{out / STUDY}", heartbeat=1)


def _is_worker(pid: int, out: Path) -> bool:
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    return "covid_cxr.search.worker" in words and str(out) in words
