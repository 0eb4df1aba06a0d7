"""Measure explanations of a run's held-out images, and write the results."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from covid_cxr.explain.measures.baselines import BASELINES
from covid_cxr.explain.rendering.grid import mask_on_grid
from covid_cxr.explanation_benchmark import page, summary
from covid_cxr.explanation_benchmark.cases import TEST_SPLIT, Case, cases, held_out_parts
from covid_cxr.explanation_benchmark.checkpoint import Checkpoint
from covid_cxr.explanation_benchmark.label_randomisation import label_randomisation
from covid_cxr.explanation_benchmark.measure import (
    CaseMeasurement,
    MethodValues,
    PreparedCase,
    groups,
)
from covid_cxr.explanation_benchmark.settings import Settings
from covid_cxr.files import atomic_write
from covid_cxr.inference import Predictor
from covid_cxr.pipeline.run_folder import RunFolder
from covid_cxr.progress import report
from covid_cxr.results.explanation_benchmark import (
    EXPLAIN_EVAL,
    BenchmarkSettings,
    ExplanationBenchmark,
    Group,
    OpacityShare,
)
from covid_cxr.results.metrics import SplitUse
from covid_cxr.types import COVID, DISCLAIMER

NAME = Path(EXPLAIN_EVAL).stem
_GRID = (224, 224)  # for the areas of opacities


@dataclass(frozen=True)
class _Work:
    groups: dict[Case, tuple[Group, ...]]
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
) -> ExplanationBenchmark:
    """Compare the methods' maps with radiologists' masks, the model, and themselves.

    Writes `explain-eval.json` (also returned), `.csv` (a row an image, method and measure), `.md`
    and `images/`, in which every image's measures are kept: called again on the same `out` with
    the same settings, it measures only what is missing.

    Args:
        folder: a run made by `train --folds`, or a finished run, whose test images are taken.
        data_root: folder of the data sets, with the masks.
        out: made where missing.
        settings: methods, samples and numbers of images.
        command: how to repeat it.
        threads: of the model; None for all cores.

    Raises:
        InputError: the run holds no bundle that can be used.
        CohortError: no opacity is drawn on any image.
        LeakError: a bundle may have seen the images that it is to explain.
    """
    held_out, parts = held_out_parts(folder)
    chosen = cases(parts, data_root, settings.seed, settings.images)
    wanted = {case: groups(settings, rank) for rank, case in enumerate(chosen)}
    if held_out == TEST_SPLIT:
        _record_test_evaluation(folder, chosen[0].bundle.id)
    checkpoints = _measure_all(_Work(wanted, settings, out, threads))
    labels = label_randomisation(folder, data_root, out, settings) if settings.labels else None
    values = {case: _requested(one, settings) for case, one in checkpoints.items()}
    rows = summary.table(values, wanted)
    result = ExplanationBenchmark(
        run=folder.path.resolve().name,
        held_out=held_out,
        explained_class=COVID,
        command=command,
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        processors=threads or os.cpu_count(),
        methods=tuple(method.name for method in settings.methods),
        settings=BenchmarkSettings(**settings.model_dump(exclude={"methods"})),
        measured_on=summary.measured_on(rows),
        opacities=_opacity_share(chosen),
        seconds=summary.seconds(rows),
        rejected={name: why for one in checkpoints.values() for name, why in one.rejected.items()},
        subsets=summary.summarise(rows, bootstrap=settings.bootstrap),
        label_randomisation=labels,
        disclaimer=DISCLAIMER,
    )
    atomic_write(out / f"{NAME}.csv", rows.to_csv(index=False, lineterminator="\n"))
    atomic_write(out / f"{NAME}.md", page.markdown(result))
    result.write(out / EXPLAIN_EVAL)
    return result


def _requested(checkpoint: Checkpoint, settings: Settings) -> MethodValues:
    """Leave out methods that are known from an earlier call but not requested in this one."""
    requested = {method.name for method in settings.methods} | set(BASELINES)
    return {name: values for name, values in checkpoint.values.items() if name in requested}


def _measure_all(work: _Work) -> dict[Case, Checkpoint]:
    """Measure bundle by bundle, so that each is opened once."""
    total = len(work.groups) * (len(work.settings.methods) + len(BASELINES))
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        report("measuring explanations", done, total)

    checkpoints: dict[Case, Checkpoint] = {}
    for folder in dict.fromkeys(case.bundle.folder for case in work.groups):
        own = [case for case in work.groups if case.bundle.folder == folder]
        predictor = Predictor(own[0].bundle, work.threads)
        for case in own:
            checkpoints[case] = _measure_one(work, case, predictor, step)
    return {case: checkpoints[case] for case in work.groups}


def _measure_one(
    work: _Work, case: Case, predictor: Predictor, step: Callable[[], None]
) -> Checkpoint:
    checkpoint = Checkpoint.open(work.out, case, work.settings)
    prepared = PreparedCase.of(case, predictor)

    def save() -> None:
        checkpoint.save()
        step()

    prepared.score(prepared.image[None])  # a session's first answer is slow: no method's time
    measurement = CaseMeasurement(prepared, work.groups[case], checkpoint.values, work.settings)
    checkpoint.rejected = measurement.run(save)
    checkpoint.save()
    return checkpoint


def _opacity_share(chosen: Sequence[Case]) -> OpacityShare:
    whole, inside = [], []
    for case in chosen:
        if case.opacities is None:
            continue
        opacities = mask_on_grid(case.opacities, _GRID)
        whole.append(opacities.mean())
        if case.lungs is not None:
            inside.append(opacities[mask_on_grid(case.lungs.both, _GRID)].mean())
    return OpacityShare(
        image=float(np.mean(whole)), lungs=float(np.mean(inside)) if inside else 0.0
    )


def _record_test_evaluation(folder: RunFolder, bundle: str) -> None:
    """Record that the test split is read, before it is."""
    metrics = folder.metrics()
    time = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    uses = (*metrics.test_evaluations, SplitUse(time=time, bundle=bundle, purpose=NAME))
    folder.write_metrics(metrics.model_copy(update={"test_evaluations": uses}))
