"""Commands that use a model: predict, explain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from covid_cxr.cli import show
from covid_cxr.cli.options import AsJson
from covid_cxr.explain.base import Hidden, Options
from covid_cxr.types import DISCLAIMER, Prediction, Progress

Paths = Annotated[list[Path], typer.Argument(metavar="PATH...", help="Pictures, DICOM, folders.")]
Out = Annotated[Path, typer.Option(help="Folder for predictions.csv and explanations/.")]
Model = Annotated[
    Path | None, typer.Option(help="Bundle, folder or zip; default: the one that ships.")
]
Samples = Annotated[int, typer.Option(min=10, help="Perturbations an image, for LIME.")]
Hide = Annotated[
    Hidden, typer.Option("--hidden", help="What LIME hides a region with: its mean, or lung-dark.")
]
Seed = Annotated[int, typer.Option(min=0, help="Of every random draw.")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads; default all cores.")]

SOME_WITH_ERRORS = 4
NO_PICTURE = "no explanation"


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(predict)
    app.command()(explain)


def predict(
    context: typer.Context,
    paths: Paths,
    out: Out,
    model: Model = None,
    explain: Annotated[
        str | None, typer.Option(metavar="METHOD", help="Also write overlays: lime, cam, gradcam.")
    ] = None,
    samples: Samples = 1000,
    hidden: Hide = "mean",
    seed: Seed = 0,
    threads: Threads = None,
    json: AsJson = False,
) -> None:
    """Predict pictures and folders; every file gets one row, readable or not.

    Exit status 4 if some file could not be read.

    Examples:

    `covid-cxr predict film.png --out out`

    `covid-cxr predict films/ --explain lime --out out`
    """
    options = Options(samples=samples, seed=seed, hidden=hidden)
    _answer(context, paths, out, explain, options=options, model=model, threads=threads, json=json)


def explain(
    context: typer.Context,
    paths: Paths,
    out: Out,
    method: Annotated[str, typer.Option(help="lime, cam or gradcam.")] = "lime",
    model: Model = None,
    samples: Samples = 1000,
    hidden: Hide = "mean",
    seed: Seed = 0,
    threads: Threads = None,
    json: AsJson = False,
) -> None:
    """Predict, and draw why: green regions speak for the shown class, red ones against it.

    Example: `covid-cxr explain film.png --method cam --out out`
    """
    options = Options(samples=samples, seed=seed, hidden=hidden)
    _answer(context, paths, out, method, options=options, model=model, threads=threads, json=json)


def _answer(
    context: typer.Context,
    paths: Sequence[Path],
    out: Path,
    method: str | None,
    *,
    options: Options,
    model: Path | None,
    threads: int | None,
    json: bool,
) -> None:
    import covid_cxr
    from covid_cxr.inference.batch import predict_to

    predictor = covid_cxr.load(model, threads)
    with show.progress(context) as progress:
        predictions = predict_to(
            out, predictor, paths, method=method, options=options, progress=_steps(progress)
        )
    if json:
        show.as_json([asdict(each) for each in predictions])
    else:
        _tell(predictions, out)
    if any(each.status == "error" for each in predictions):
        raise typer.Exit(SOME_WITH_ERRORS)


def _steps(progress: Progress | None) -> partial[None] | None:
    return partial(progress, "predicting") if progress else None


def _tell(predictions: Sequence[Prediction], out: Path) -> None:
    counts = Counter(each.predicted_class or each.status for each in predictions)
    told = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    show.out.print(f"{len(predictions)} files: {told or 'none'}", soft_wrap=True)
    for each in [each for each in predictions if each.status == "error"][:5]:
        show.out.print(each.message, soft_wrap=True, markup=False)
    show.out.print(f"Predictions: {out / 'predictions.csv'}", soft_wrap=True)
    missing = [flag for each in predictions for flag in each.flags if flag.startswith(NO_PICTURE)]
    if missing:
        show.out.print(f"{len(missing)} without a picture: {missing[0]}", soft_wrap=True)
    pictures = sum(bool(each.explanation) for each in predictions)
    if pictures:
        show.out.print(f"Explanations: {pictures} in {out / 'explanations'}", soft_wrap=True)
    show.out.print(DISCLAIMER, style="dim")
