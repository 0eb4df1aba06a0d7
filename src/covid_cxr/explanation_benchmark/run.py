"""Measure explanations of a run's unseen films, and write what was found."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from covid_cxr.explain.measures.baselines import BASELINES
from covid_cxr.explain.rendering.grid import mask_on_grid
from covid_cxr.explanation_benchmark import summary, tables
from covid_cxr.explanation_benchmark.cases import Case, cases, parts
from covid_cxr.explanation_benchmark.checkpoint import Record
from covid_cxr.explanation_benchmark.label_randomisation import label_randomisation
from covid_cxr.explanation_benchmark.measure import Bench, Film, Found, groups
from covid_cxr.explanation_benchmark.settings import Settings
from covid_cxr.files import atomic_write
from covid_cxr.inference import Predictor
from covid_cxr.pipeline.run_folder import RunFolder
from covid_cxr.progress import report
from covid_cxr.types import COVID, DISCLAIMER

NAME = "explain-eval"
_GRID = (224, 224)  # for the areas of chance


@dataclass(frozen=True)
class _Work:
    cases: list[Case]
    groups: dict[Case, tuple[str, ...]]
    settings: Settings
    out: Path
    threads: int | None


def explain_eval(
    folder: RunFolder,
    data_root: Path,
    out: Path,
    settings: Settings,
    *,
    command: str,
    threads: int | None = None,
) -> dict[str, Any]:
    """Hold the methods' maps against radiologists, the model, and themselves.

    Writes `explain-eval.json` (also returned), `.csv` (a row a film, method and measure), `.md`
    and `films/`, in which every film's measures are kept: called again on the same `out` with the
    same settings, it measures only what is missing.

    Args:
        folder: a run made by `train --folds`, or a finished run, whose test films are taken.
        data_root: folder of the data sets, with what was drawn.
        out: made where missing.
        settings: methods, samples and numbers of films.
        command: how to repeat it.
        threads: of the model; None for all cores.

    Raises:
        InputError: the run holds no bundle that can be used.
        CohortError: no opacity is drawn on any film.
        LeakError: a bundle may have seen the films that it is to explain.
    """
    left_out, found = parts(folder)
    chosen = cases(found, data_root, settings.seed, settings.films)
    wanted = {case: groups(settings, place) for place, case in enumerate(chosen)}
    work = _Work(chosen, wanted, settings, out, threads)
    if left_out == "test split":
        _note_opening(folder, chosen[0].made.id)
    records = _measure_all(work)
    labels = None
    if settings.labels:
        labels = label_randomisation(folder, data_root, out, settings)
    rows = summary.table({case: _asked(each, settings) for case, each in records.items()}, wanted)
    result = {
        "run": folder.path.resolve().name,
        "left_out": left_out,
        "explained_class": COVID,
        "command": command,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "processors": threads or os.cpu_count(),
        "settings": {**asdict(settings), "methods": [each.name for each in settings.methods]},
        "measured_on": summary.measured_on(rows),
        "chance": _chance(chosen),
        "seconds": summary.seconds(rows),
        "refused": {name: why for each in records.values() for name, why in each.refused.items()},
        "subsets": summary.summarise(rows, bootstrap=settings.bootstrap),
        "label_randomisation": labels,
        "disclaimer": DISCLAIMER,
    }
    _write(out, rows, result)
    return result


def _asked(record: Record, settings: Settings) -> Found:
    """Leave out methods that are known from an earlier call but not asked for in this one."""
    asked = {variant.name for variant in settings.methods} | set(BASELINES)
    return {name: measured for name, measured in record.found.items() if name in asked}


def _write(out: Path, rows: pd.DataFrame, result: dict[str, Any]) -> None:
    atomic_write(out / f"{NAME}.csv", rows.to_csv(index=False, lineterminator="\n"))
    atomic_write(out / f"{NAME}.md", tables.markdown(result))
    text = json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False)
    atomic_write(out / f"{NAME}.json", text + "\n")


def _measure_all(work: _Work) -> dict[Case, Record]:
    """Measure bundle by bundle, so that each is opened once."""
    total = len(work.cases) * (len(work.settings.methods) + len(BASELINES))
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        report("measuring explanations", done, total)

    found: dict[Case, Record] = {}
    for made in dict.fromkeys(case.made.folder for case in work.cases):
        own = [case for case in work.cases if case.made.folder == made]
        predictor = Predictor(own[0].made, work.threads)
        for case in own:
            found[case] = _measure_one(work, case, predictor, step)
    return {case: found[case] for case in work.cases}


def _measure_one(work: _Work, case: Case, predictor: Predictor, step: Callable[[], None]) -> Record:
    record = Record.open(work.out, case, work.settings)
    film = Film.of(case, predictor)

    def saved() -> None:
        record.save()
        step()

    film.score(film.image[None])  # the first answer of a session is slow, and is nobody's time
    bench = Bench(film, work.groups[case], record.found, work.settings)
    record.refused = bench.measure(saved)
    record.save()
    return record


def _chance(chosen: Sequence[Case]) -> dict[str, float]:
    """Return the mean share of film and of lungs that opacities cover."""
    film, inside = [], []
    for case in chosen:
        if case.opacities is None:
            continue
        drawn = mask_on_grid(case.opacities, _GRID)
        film.append(drawn.mean())
        if case.lungs is not None:
            inside.append(drawn[mask_on_grid(case.lungs.both, _GRID)].mean())
    return {"film": float(np.mean(film)), "lungs": float(np.mean(inside)) if inside else 0.0}


def _note_opening(folder: RunFolder, bundle: str) -> None:
    """Put on record that the test split is read, before it is."""
    metrics = folder.metrics()
    opening = {
        "time": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "bundle": bundle,
        "for": NAME,
    }
    openings = [*metrics.get("openings_of_test", []), opening]
    folder.write_metrics(metrics | {"openings_of_test": openings})
