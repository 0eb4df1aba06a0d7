"""What a search leaves behind: `best.yaml`, `trials.csv`, `search.html`, TensorBoard's HParams."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import yaml

from covid_cxr.files import atomic_write
from covid_cxr.search.page import write_page
from covid_cxr.search.results import SearchResult, TrialRecord

BEST, TRIALS, BOARD = "best.yaml", "trials.csv", "tensorboard"


def write(result: SearchResult, out: Path) -> None:
    """Write all results of a search; those of an earlier call are replaced."""
    atomic_write(out / BEST, best_recipe(result))
    atomic_write(out / TRIALS, trial_table(result).to_csv(index=False, lineterminator="\n"))
    write_page(result, out)
    if find_spec("tensorboard"):
        _write_hparams(result, out / BOARD)


def best_recipe(result: SearchResult) -> str:
    """Return the best trial's recipe as YAML that `covid-cxr train` takes."""
    raw = result.recipe.model_dump(mode="json", exclude={"data_root"})
    raw["name"] = f"{result.search.name}-best"
    best, default = result.best, result.default
    comment = (
        f"# Trial {best.number} of {len(result.trials)}: {result.metric} {best.values[0]:.4f}; the "
        f"default recipe {default.values[0]:.4f}.\n"
        f"# Chosen on training and validation images; the score is flattered by the choice.\n"
    )
    return comment + yaml.safe_dump(raw, sort_keys=False)


def trial_table(result: SearchResult) -> pd.DataFrame:
    """Return a row a trial: state, scores, spread over repeats, seconds and parameters."""
    return pd.DataFrame([_row(result, trial) for trial in result.trials])


def _row(result: SearchResult, trial: TrialRecord) -> dict[str, object]:
    values = dict(zip(result.value_names, trial.values, strict=False))
    return {
        "trial": trial.number,
        "state": trial.state,
        **{name: values.get(name) for name in result.value_names},
        "spread": trial.spread if trial.values else None,
        "repeats": " ".join(f"{value:.6g}" for value in trial.repeats),
        "seconds": round(trial.seconds, 2),
        **({"pareto": trial.pareto} if result.search.objective.also else {}),
        **{field: trial.parameters.get(field) for field in result.search.space},
        "reason": trial.reason,
    }


def _write_hparams(result: SearchResult, folder: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    shutil.rmtree(folder, ignore_errors=True)
    with SummaryWriter(folder) as writer:
        for trial in result.complete:
            scores = dict(zip(result.value_names, trial.values, strict=True))
            parameters = {
                field: value if isinstance(value, int | float) else str(value)
                for field, value in trial.parameters.items()
            }
            writer.add_hparams(parameters, scores, run_name=f"trial-{trial.number}")
