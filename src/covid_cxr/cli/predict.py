"""Commands that use a model: predict, explain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from covid_cxr.cli import output
from covid_cxr.cli.options import AsJson, Data, Threads, data_root
from covid_cxr.explain import EXPLAINERS
from covid_cxr.explain.base import RECOMMENDED, Options
from covid_cxr.explain.rendering.zones import FAIR
from covid_cxr.types import DISCLAIMER, Prediction

if TYPE_CHECKING:
    from covid_cxr.inference.explaining import ExplainSettings
    from covid_cxr.inference.similar_cases import ImageLoader

Paths = Annotated[
    list[Path], typer.Argument(metavar="PATH...", help="Image and DICOM files, folders.")
]
Out = Annotated[Path, typer.Option(help="Folder for predictions.csv and explanations/.")]
Model = Annotated[
    Path | None, typer.Option(help="Bundle, folder or zip; default: the one that ships.")
]
Fidelity = Annotated[
    float, typer.Option("--min-fidelity", help="Least fidelity of a drawn map; 0 draws all.")
]
Montage = Annotated[
    bool, typer.Option("--montage", help="Also draw montages, 24 radiographs a page.")
]
AlsoExplain = Annotated[
    str | None, typer.Option(metavar="METHOD", help=f"Also explain: {', '.join(EXPLAINERS)}.")
]
Method = Annotated[str, typer.Option(help=f"One of: {', '.join(EXPLAINERS)}.")]
Palette = Annotated[str, typer.Option(help="green-red, or blue-orange for colour-blind readers.")]
Opacity = Annotated[float, typer.Option(min=0.05, max=1, help="Opacity of the strongest colour.")]
Counterfactual = Annotated[
    bool, typer.Option("--counterfactual", help="Also find the smallest region set that decides.")
]
TrainingCohort = Annotated[
    Path | None, typer.Option(help="The bundle's cohort.csv, to draw similar training cases.")
]

SOME_WITH_ERRORS = 4
NO_PICTURE = "no explanation"
METHOD = "lime"


# Options of a command that are fields of `Options`, and with them type and default.
_EXPLAIN_OPTIONS = {
    "samples": typer.Option(min=10, help="LIME: maximum number of perturbed samples."),
    "superpixels": typer.Option(help="How regions are cut; COVID-CXR (2020) used quickshift."),
    "regions": typer.Option(min=2, help="Number of regions; quickshift chooses its own."),
    "fill": typer.Option(help="What replaces a hidden region; COVID-CXR (2020): mean."),
    "sampling": typer.Option(help="How LIME draws samples; COVID-CXR (2020): bernoulli."),
    "stopping_reliability": typer.Option(
        min=0.01, max=0.99, help="Stop LIME once its ranking is this reliable."
    ),
    "seed": typer.Option(min=0, help="Random seed."),
}


def with_explain_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of an explainer in place of its parameter `options`."""
    fields = signature(Options, eval_str=True).parameters
    shared = [
        fields[name].replace(
            default=getattr(RECOMMENDED, name),
            annotation=Annotated[fields[name].annotation, option],
        )
        for name, option in _EXPLAIN_OPTIONS.items()
    ]
    merged: list[Parameter] = []
    for name, parameter in signature(command, eval_str=True).parameters.items():
        merged += shared if name == "options" else [parameter]

    @wraps(command)
    def run(**given: Any) -> None:
        options = Options(**{name: given.pop(name) for name in _EXPLAIN_OPTIONS})
        command(options=options, **given)

    keywords = [option.replace(kind=Parameter.KEYWORD_ONLY) for option in merged]
    run.__dict__["__signature__"] = Signature(keywords)
    run.__annotations__ = {option.name: option.annotation for option in merged}
    return run


@with_explain_options
def predict(
    context: typer.Context,
    paths: Paths,
    out: Out,
    options: Options,
    model: Model = None,
    explain: AlsoExplain = None,
    min_fidelity: Fidelity = FAIR,
    montage: Montage = False,
    threads: Threads = None,
    json: AsJson = False,
) -> None:
    """Predict radiographs and folders of them; every file gets one row, readable or not.

    The exit status is 4 if a file could not be read.

    Examples:

    `covid-cxr predict radiograph.png --out out`

    `covid-cxr predict radiographs/ --explain lime --montage --out out`
    """
    from covid_cxr.inference.explaining import ExplainSettings

    settings = None
    if explain:
        settings = ExplainSettings(explain, options, least_fidelity=min_fidelity, montage=montage)
    _predict(context, paths, out, settings, model=model, threads=threads, json=json)


@with_explain_options
def explain(
    context: typer.Context,
    paths: Paths,
    out: Out,
    options: Options,
    method: Method = METHOD,
    model: Model = None,
    min_fidelity: Fidelity = FAIR,
    palette: Palette = "green-red",
    opacity: Opacity = 0.6,
    montage: Montage = False,
    counterfactual: Counterfactual = False,
    cohort: TrainingCohort = None,
    data: Data = None,
    threads: Threads = None,
    json: AsJson = False,
) -> None:
    """Predict and explain: green regions support the shown class, red regions speak against it.

    Beside the radiograph stands where the support lies, in numbers and a sentence; the JSON has
    the weight of every region and the training cases most similar to the radiograph.

    Examples:

    `covid-cxr explain radiograph.png --method cam --out out`

    `covid-cxr explain radiographs/ --superpixels lungs --fill blur --out out`
    """
    from covid_cxr.explain.rendering.overlay import OverlayStyle
    from covid_cxr.inference.explaining import ExplainSettings

    settings = ExplainSettings(
        method,
        options,
        OverlayStyle(palette=palette, opacity=opacity),
        least_fidelity=min_fidelity,
        montage=montage,
        counterfactual=counterfactual,
        load_image=_image_loader(cohort, data),
    )
    _predict(context, paths, out, settings, model=model, threads=threads, json=json)


def _predict(
    context: typer.Context,
    paths: Sequence[Path],
    out: Path,
    settings: ExplainSettings | None,
    *,
    model: Path | None,
    threads: int | None,
    json: bool,
) -> None:
    """Predict every path and print a summary."""
    import covid_cxr
    from covid_cxr.inference.batch import predict_to

    predictor = covid_cxr.load(model, threads)
    with output.progress(context):
        predictions = predict_to(out, predictor, paths, settings=settings)
    if json:
        output.as_json([asdict(prediction) for prediction in predictions])
    else:
        _print(predictions, out)
    if any(prediction.status == "error" for prediction in predictions):
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


def _print(predictions: Sequence[Prediction], out: Path) -> None:
    counts = Counter(prediction.predicted_class or prediction.status for prediction in predictions)
    summary = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    output.out.print(f"{len(predictions)} files: {summary or 'none'}", soft_wrap=True)
    messages = [prediction.message for prediction in predictions if prediction.status == "error"]
    for message in messages[:5]:
        output.out.print(message, soft_wrap=True, markup=False)
    output.out.print(f"Predictions: {out / 'predictions.csv'}", soft_wrap=True)
    flags = [flag for prediction in predictions for flag in prediction.flags]
    missing = [flag for flag in flags if flag.startswith(NO_PICTURE)]
    if missing:
        output.out.print(f"{len(missing)} without a picture: {missing[0]}", soft_wrap=True)
    pictures = sum(bool(prediction.explanation) for prediction in predictions)
    if pictures:
        output.out.print(f"Explanations: {pictures} in {out / 'explanations'}", soft_wrap=True)
    output.out.print(DISCLAIMER, style="dim")
