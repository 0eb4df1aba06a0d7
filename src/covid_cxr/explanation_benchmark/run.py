"""Measure explanations of a run's held-out images, and write the results."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from covid_cxr.explain.measures.baselines import BASELINES
from covid_cxr.explain.resampling import mask_on_grid
from covid_cxr.explanation_benchmark import summary
from covid_cxr.explanation_benchmark.cases import TEST_SPLIT, Case, cases, held_out_parts
from covid_cxr.explanation_benchmark.checkpoint import Checkpoint
from covid_cxr.explanation_benchmark.label_randomisation import label_randomisation
from covid_cxr.explanation_benchmark.measure import (
    CaseMeasurement,
    PreparedCase,
    groups,
)
from covid_cxr.explanation_benchmark.settings import Settings
from covid_cxr.files import atomic_write
from covid_cxr.inference import Predictor
from covid_cxr.pipeline.run_folder import RunFolder
from covid_cxr.progress import track
from covid_cxr.report import formatting
from covid_cxr.results.explanation_benchmark import (
    EXPLAIN_EVAL,
    BenchmarkSettings,
    ExplanationBenchmark,
    Group,
    OpacityShare,
    Score,
)
from covid_cxr.results.metrics import SplitUse
from covid_cxr.types import COVID, DISCLAIMER

NAME = Path(EXPLAIN_EVAL).stem
_GRID = (224, 224)  # for the areas of opacities


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
        folder: a run of `cross-validate`, or a finished run, whose test images are taken.
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
    checkpoints = {case: Checkpoint.open(out, case, settings) for case in chosen}
    steps = len(chosen) * (len(settings.methods) + len(BASELINES))
    measuring = _measure(checkpoints, wanted, settings, threads)
    for _ in track(measuring, "measuring explanations", steps):
        pass
    labels = label_randomisation(folder, data_root, out, settings) if settings.labels else None
    rows = summary.table({case: one.values for case, one in checkpoints.items()}, wanted)
    requested = [*BASELINES, *(method.name for method in settings.methods)]
    rows = rows[rows["method"].isin(requested)]  # an earlier call may have measured others
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
    atomic_write(out / f"{NAME}.md", _markdown(result))
    result.write(out / EXPLAIN_EVAL)
    return result


def _measure(
    checkpoints: Mapping[Case, Checkpoint],
    wanted: Mapping[Case, Sequence[Group]],
    settings: Settings,
    threads: int | None,
) -> Iterator[None]:
    """Fill the checkpoints bundle by bundle, so that each is opened once, method by method."""
    for folder in dict.fromkeys(case.bundle.folder for case in checkpoints):
        own = [case for case in checkpoints if case.bundle.folder == folder]
        predictor = Predictor(own[0].bundle, threads)
        for case in own:
            checkpoint, prepared = checkpoints[case], PreparedCase.of(case, predictor)
            prepared.score(prepared.image[None])  # a session's first answer is slow
            values, rejected = checkpoint.values, checkpoint.rejected
            measurement = CaseMeasurement(prepared, wanted[case], values, rejected, settings)
            for _ in measurement.run():
                checkpoint.save()
                yield
            checkpoint.save()


def _opacity_share(chosen: Sequence[Case]) -> OpacityShare:
    opacities = {case: mask_on_grid(case.opacities, _GRID) for case in chosen}
    inside = [
        mask[mask_on_grid(case.lungs.both, _GRID)].mean()
        for case, mask in opacities.items()
        if case.lungs is not None
    ]
    return OpacityShare(
        image=float(np.mean([mask.mean() for mask in opacities.values()])),
        lungs=float(np.mean(inside)) if inside else 0.0,
    )


def _record_test_evaluation(folder: RunFolder, bundle: str) -> None:
    """Record that the test split is read, before it is."""
    metrics = folder.metrics()
    time = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    uses = (*metrics.test_evaluations, SplitUse(time=time, bundle=bundle, purpose=NAME))
    folder.write_metrics(metrics.model_copy(update={"test_evaluations": uses}))


def _markdown(result: ExplanationBenchmark) -> str:
    """Return the benchmark as a page of tables: method x measure x time."""
    return formatting.render(
        "explain-eval.md.j2", result=result, baselines=tuple(BASELINES), measured=_measured
    )


def _measured(
    methods: Mapping[str, Mapping[str, Score]],
    columns: Mapping[str, str],
    with_baselines: bool = True,
) -> dict[str, Mapping[str, Score]]:
    """Return the methods that have any of the columns, those that know the model first."""
    return {
        name: methods[name]
        for name in sorted(methods, key=lambda name: (name in BASELINES, name))
        if (with_baselines or name not in BASELINES) and columns.keys() & methods[name].keys()
    }
