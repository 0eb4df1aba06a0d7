"""Commands that use a model: predict, explain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from covid_cxr import explain as explainers
from covid_cxr.cli import output
from covid_cxr.cli.options import AsJson, Data, Threads, data_root
from covid_cxr.errors import InputError
from covid_cxr.explain import EXPLAINERS
from covid_cxr.explain.rendering.zones import FAIR
from covid_cxr.explain.settings import Fill, Sampling, Superpixels
from covid_cxr.types import DISCLAIMER

if TYPE_CHECKING:
    from covid_cxr.inference.predictions_csv import Start
    from covid_cxr.inference.similar_cases import ImageLoader
    from covid_cxr.models.bundle import Bundle
    from covid_cxr.types import Radiograph

Paths = Annotated[
    list[str], typer.Argument(metavar="PATH...", help="Image and DICOM files, folders of them.")
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
Method = Annotated[
    str | None,
    typer.Option(
        *("--method", "--explain"),
        help=f"Explain with this method, one of: {', '.join(EXPLAINERS)}.",
    ),
]
ForProcessing = Annotated[
    Literal["assess", "abstain"],
    typer.Option(help="DICOM images that say they are for processing, not for presentation."),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Only continue an interrupted prediction in --out.")
]
Restart = Annotated[
    bool, typer.Option("--restart", help="Begin anew, dropping an interrupted prediction in --out.")
]
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
METHOD = "lime"  # of `explain`
_MESSAGES = 5  # of files with errors that are printed


# Options of a command that are settings of LIME; a method takes those that it has.
_EXPLAIN_OPTIONS: dict[str, tuple[Any, Any, Any]] = {
    "samples": (int, 1000, typer.Option(min=10, help="LIME: maximum number of perturbed samples.")),
    "superpixels": (
        *(Superpixels, "lungs"),
        typer.Option(help="How regions are cut; COVID-CXR (2020) used quickshift."),
    ),
    "regions": (int, 32, typer.Option(min=2, help="Number of regions; quickshift has its own.")),
    "fill": (
        *(Fill, "mean"),
        typer.Option(help="What replaces a hidden region; COVID-CXR (2020): mean."),
    ),
    "sampling": (
        *(Sampling, "balanced"),
        typer.Option(help="How LIME draws samples; COVID-CXR (2020): bernoulli."),
    ),
    "stopping_reliability": (
        *(float | None, 0.9),
        typer.Option(min=0.01, max=0.99, help="Stop LIME once its ranking is this reliable."),
    ),
    "seed": (int, 0, typer.Option(min=0, help="Random seed.")),
}


def same_options_as(
    command: Callable[..., None], **defaults: object
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of another one, some with defaults of its own."""

    def decorate(other: Callable[..., None]) -> Callable[..., None]:
        options = [
            option.replace(default=defaults.get(option.name, option.default))
            for option in signature(command).parameters.values()
        ]
        other.__dict__["__signature__"] = Signature(options)
        other.__annotations__ = {option.name: option.annotation for option in options}
        return other

    return decorate


def with_explain_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of an explainer in place of its parameter `options`."""
    shared = [
        Parameter(
            *(name, Parameter.KEYWORD_ONLY),
            default=default,
            annotation=Annotated[kind, option],
        )
        for name, (kind, default, option) in _EXPLAIN_OPTIONS.items()
    ]
    merged: list[Parameter] = []
    for name, parameter in signature(command, eval_str=True).parameters.items():
        merged += shared if name == "options" else [parameter]

    @wraps(command)
    def run(**given: Any) -> None:
        options = {name: given.pop(name) for name in _EXPLAIN_OPTIONS}
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
    options: dict[str, Any],
    method: Method = None,
    model: Model = None,
    min_fidelity: Fidelity = FAIR,
    palette: Palette = "green-red",
    opacity: Opacity = 0.6,
    montage: Montage = False,
    counterfactual: Counterfactual = False,
    cohort: TrainingCohort = None,
    data: Data = None,
    for_processing: ForProcessing = "assess",
    resume: Resume = False,
    restart: Restart = False,
    threads: Threads = None,
    json: AsJson = False,
) -> None:
    """Predict radiographs and folders of them; every file gets one row, readable or not.

    Rows are kept whatever ends the program: the same command continues. `explain` is the same with
    pictures by default. The exit status is 4 if a file could not be read or a picture not written.

    Examples:

    `covid-cxr predict radiograph.png --out out`

    `covid-cxr predict radiographs/ --method lime --montage --out out`
    """
    from covid_cxr.explain.rendering.overlay import OverlayStyle
    from covid_cxr.inference import Predictor
    from covid_cxr.inference.batch import predict_to
    from covid_cxr.inference.explaining import ExplainSettings

    settings = None
    if method:
        settings = ExplainSettings(
            method,
            _settings(method, options),
            OverlayStyle(palette=palette, opacity=opacity),
            least_fidelity=min_fidelity,
            montage=montage,
            counterfactual=counterfactual,
            load_image=_image_loader(cohort, data),
        )
    predictor = Predictor(_bundle(model), threads, for_processing)
    with output.progress(context):
        path = predict_to(out, predictor, paths, settings=settings, start=_start(resume, restart))
    _report(path, json)


@same_options_as(predict, method=METHOD)
def explain(**given: Any) -> None:
    """Predict and explain: green regions support the shown class, red regions speak against it.

    Beside the radiograph stands where the support lies, in numbers and a sentence; the JSON has
    the weight of every region and the training cases most similar to the radiograph. `predict` is
    the same without pictures by default; the same command continues an interrupted one.

    Examples:

    `covid-cxr explain radiograph.png --method cam --out out`

    `covid-cxr explain radiographs/ --superpixels lungs --fill blur --out out`
    """
    predict(**given)


def _settings(method: str, options: Mapping[str, object]) -> explainers.Settings:
    """Return a method's settings: those of the options that it has."""
    explainer = explainers.get(method)
    own = {name: options[name] for name in explainer.settings.names() if name in options}
    return explainer.configure(own)


def _bundle(path: Path | None) -> Bundle:
    import covid_cxr
    from covid_cxr.models import bundle

    return bundle.load(path) if path else covid_cxr.default_bundle()


def _start(resume: bool, restart: bool) -> Start:
    """Return what to do with an interrupted prediction.

    Raises:
        InputError: both were asked for.
    """
    if resume and restart:
        raise InputError("--resume and --restart exclude each other; give one, or neither")
    return "resume" if resume else "restart" if restart else "continue"


def _image_loader(cohort: Path | None, data: Path | None) -> ImageLoader | None:
    """Return what loads a radiograph of the training by its id; None without a cohort."""
    from covid_cxr import imaging
    from covid_cxr.cohort import schema

    if cohort is None:
        return None

    root = data_root(data, None)
    rows = schema.load(cohort).set_index("image_id")
    files = dict(zip(rows.index, zip(rows["path"], rows["sha256"], strict=True), strict=True))

    def load(image_id: str) -> Radiograph | None:
        if image_id not in files:
            return None
        path, sha256 = files[image_id]
        return imaging.read(root / path, sha256=sha256)

    return load


def _report(path: Path, json: bool) -> None:
    """Print a summary of a table of predictions, or its rows, one at a time.

    Raises:
        Exit: a row says that something failed.
    """
    from covid_cxr.inference.predictions_csv import read_table

    if json:
        output.as_json_list(asdict(row) for row in read_table(path))
    else:
        _print(path)
    if any(row.message for row in read_table(path)):
        raise typer.Exit(SOME_WITH_ERRORS)


def _print(path: Path) -> None:
    from covid_cxr.inference.predictions_csv import read_table

    counts: Counter[str] = Counter()
    messages, missing, pictures = 0, Counter[str](), 0
    for row in read_table(path):
        counts[row.predicted_class or row.status] += 1
        pictures += bool(row.explanation)
        missing.update(flag for flag in row.flags if flag.startswith(NO_PICTURE))
        messages += bool(row.message)
        if row.message and messages <= _MESSAGES:
            output.out.print(row.message, soft_wrap=True, markup=False)
    summary = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    output.out.print(f"{counts.total()} files: {summary}", soft_wrap=True)
    output.out.print(f"Predictions: {path}", soft_wrap=True, markup=False)
    if missing:
        (reason, _), total = missing.most_common(1)[0], missing.total()
        output.out.print(f"{total} without a picture: {reason}", soft_wrap=True, markup=False)
    if pictures:
        where = path.parent / "explanations"
        output.out.print(f"Explanations: {pictures} in {where}", soft_wrap=True, markup=False)
    output.out.print(DISCLAIMER, style="dim")
