"""Commands that use a model: predict, explain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from covid_cxr.cli import output
from covid_cxr.cli.options import AsJson, Data, data_root
from covid_cxr.explain import EXPLAINERS
from covid_cxr.explain.base import RECOMMENDED, Fill, Options, Sampling, Superpixels
from covid_cxr.explain.rendering.sentence import FAIR
from covid_cxr.types import DISCLAIMER, Prediction

if TYPE_CHECKING:
    from covid_cxr.inference.explaining import ExplainSettings
    from covid_cxr.inference.similar_cases import ImageLoader

Paths = Annotated[list[Path], typer.Argument(metavar="PATH...", help="Pictures, DICOM, folders.")]
Out = Annotated[Path, typer.Option(help="Folder for predictions.csv and explanations/.")]
Model = Annotated[
    Path | None, typer.Option(help="Bundle, folder or zip; default: the one that ships.")
]
Method = Annotated[str, typer.Option(help=f"One of: {', '.join(EXPLAINERS)}.")]
Samples = Annotated[int, typer.Option(min=10, help="Perturbations a film at most, for LIME.")]
Regions = Annotated[
    Superpixels,
    typer.Option("--superpixels", help="Regions that are hidden; the original: quickshift."),
]
Count = Annotated[
    int, typer.Option("--regions", min=2, help="Regions wanted; quickshift finds its own number.")
]
Hide = Annotated[
    Fill, typer.Option("--fill", help="What a hidden region becomes; the original: mean.")
]
Draw = Annotated[
    Sampling, typer.Option("--sampling", help="How LIME draws samples; the original: bernoulli.")
]
Stable = Annotated[
    float | None,
    typer.Option(
        min=0.01, max=0.99, help="Stop LIME once its ranking is so reliable; 0.99 rarely stops."
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="Of every random draw.")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads; default all cores.")]
Palette = Annotated[str, typer.Option(help="green-red, or blue-orange for colour-blind readers.")]
Opacity = Annotated[float, typer.Option(min=0.05, max=1, help="Of the strongest colour.")]
Fidelity = Annotated[
    float,
    typer.Option("--min-fidelity", help="A map of less is not drawn; 0 draws every one."),
]
Montage = Annotated[
    bool, typer.Option("--montage", help="Also draw montages, 24 radiographs a page.")
]
Counterfactual = Annotated[
    bool,
    typer.Option(
        "--counterfactual",
        help="Also find the fewest regions without which the decision would be another.",
    ),
]

SOME_WITH_ERRORS = 4
NO_PICTURE = "no explanation"
METHOD = "lime"


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
        str | None, typer.Option(metavar="METHOD", help=f"Also explain: {', '.join(EXPLAINERS)}.")
    ] = None,
    samples: Samples = RECOMMENDED.samples,
    superpixels: Regions = RECOMMENDED.superpixels,
    regions: Count = RECOMMENDED.regions,
    fill: Hide = RECOMMENDED.fill,
    sampling: Draw = RECOMMENDED.sampling,
    stopping_reliability: Stable = RECOMMENDED.stopping_reliability,
    seed: Seed = 0,
    min_fidelity: Fidelity = FAIR,
    montage: Montage = False,
    threads: Threads = None,
    json: AsJson = False,
) -> None:
    """Predict pictures and folders; every file gets one row, readable or not.

    Exit status 4 if some file could not be read.

    Examples:

    `covid-cxr predict film.png --out out`

    `covid-cxr predict films/ --explain lime --montage --out out`
    """
    options = Options(
        samples=samples,
        superpixels=superpixels,
        regions=regions,
        fill=fill,
        sampling=sampling,
        stopping_reliability=stopping_reliability,
        seed=seed,
    )
    from covid_cxr.inference.explaining import ExplainSettings

    settings = None
    if explain:
        settings = ExplainSettings(explain, options, least_fidelity=min_fidelity, montage=montage)
    answer = _Answering(context, paths, out, settings, json)
    answer.by(model, threads)


def explain(
    context: typer.Context,
    paths: Paths,
    out: Out,
    method: Method = METHOD,
    model: Model = None,
    samples: Samples = RECOMMENDED.samples,
    superpixels: Regions = RECOMMENDED.superpixels,
    regions: Count = RECOMMENDED.regions,
    fill: Hide = RECOMMENDED.fill,
    sampling: Draw = RECOMMENDED.sampling,
    stopping_reliability: Stable = RECOMMENDED.stopping_reliability,
    seed: Seed = 0,
    min_fidelity: Fidelity = FAIR,
    palette: Palette = "green-red",
    opacity: Opacity = 0.6,
    montage: Montage = False,
    counterfactual: Counterfactual = False,
    cohort: Annotated[
        Path | None,
        typer.Option(help="cohort.csv of the bundle's training: draws the films that look alike."),
    ] = None,
    data: Data = None,
    threads: Threads = None,
    json: AsJson = False,
) -> None:
    """Predict, and draw why: green regions speak for the shown class, red ones against it.

    Beside the film stands where the evidence lies, in numbers and a sentence; the JSON has the
    weight of every region and the films of the training that look like this one.

    Examples:

    `covid-cxr explain film.png --method cam --out out`

    `covid-cxr explain films/ --superpixels lungs --fill blur --palette blue-orange --out out`
    """
    from covid_cxr.explain.rendering.overlay import OverlayStyle
    from covid_cxr.inference.explaining import ExplainSettings

    settings = ExplainSettings(
        method,
        Options(
            samples=samples,
            superpixels=superpixels,
            regions=regions,
            fill=fill,
            sampling=sampling,
            stopping_reliability=stopping_reliability,
            seed=seed,
        ),
        OverlayStyle(palette=palette, opacity=opacity),
        least_fidelity=min_fidelity,
        montage=montage,
        counterfactual=counterfactual,
        load_image=_image_loader(cohort, data),
    )
    answer = _Answering(context, paths, out, settings, json)
    answer.by(model, threads)


class _Answering(NamedTuple):
    """What both commands do: answer every path by a bundle, and tell."""

    context: typer.Context
    paths: Sequence[Path]
    out: Path
    settings: ExplainSettings | None
    json: bool

    def by(self, model: Path | None, threads: int | None) -> None:
        import covid_cxr
        from covid_cxr.inference.batch import predict_to

        predictor = covid_cxr.load(model, threads)
        with output.progress(self.context):
            predictions = predict_to(self.out, predictor, self.paths, settings=self.settings)
        if self.json:
            output.as_json([asdict(each) for each in predictions])
        else:
            _tell(predictions, self.out)
        if any(each.status == "error" for each in predictions):
            raise typer.Exit(SOME_WITH_ERRORS)


def _image_loader(cohort: Path | None, data: Path | None) -> ImageLoader | None:
    """Return what loads a radiograph of the training by its id; None without a cohort."""
    from covid_cxr import imaging
    from covid_cxr.cohort import schema

    if cohort is None:
        return None

    root = data_root(data, None)
    paths = schema.load(cohort).set_index("image_id")["path"].to_dict()
    return lambda image_id: imaging.read(root / paths[image_id]) if image_id in paths else None


def _tell(predictions: Sequence[Prediction], out: Path) -> None:
    counts = Counter(each.predicted_class or each.status for each in predictions)
    told = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    output.out.print(f"{len(predictions)} files: {told or 'none'}", soft_wrap=True)
    for each in [each for each in predictions if each.status == "error"][:5]:
        output.out.print(each.message, soft_wrap=True, markup=False)
    output.out.print(f"Predictions: {out / 'predictions.csv'}", soft_wrap=True)
    missing = [flag for each in predictions for flag in each.flags if flag.startswith(NO_PICTURE)]
    if missing:
        output.out.print(f"{len(missing)} without a picture: {missing[0]}", soft_wrap=True)
    pictures = sum(bool(each.explanation) for each in predictions)
    if pictures:
        output.out.print(f"Explanations: {pictures} in {out / 'explanations'}", soft_wrap=True)
    output.out.print(DISCLAIMER, style="dim")
