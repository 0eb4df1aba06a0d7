"""Commands that use a model: predict, explain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from inspect import Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from covid_cxr import explain as explainers
from covid_cxr.cli import output
from covid_cxr.cli.explanation_options import (
    Counterfactual,
    Fidelity,
    ListMethods,
    Method,
    MethodSettings,
    Montage,
    Opacity,
    Palette,
    TrainingCohort,
    TrainingData,
)
from covid_cxr.cli.options import AsJson, Threads, data_root
from covid_cxr.errors import InputError
from covid_cxr.explain.settings import FAIR
from covid_cxr.types import DISCLAIMER

if TYPE_CHECKING:
    from covid_cxr.inference.predictions_csv import Start
    from covid_cxr.inference.similar_cases import ImageLoader
    from covid_cxr.types import Radiograph


_AGAIN = "Interrupted predictions"

Paths = Annotated[
    list[str],
    typer.Argument(
        metavar="PATH...",
        help="Image and DICOM files, and folders of them, which are read with all folders in them.",
    ),
]
Out = Annotated[
    Path, typer.Option(metavar="DIR", help="Folder for predictions.csv and explanations/.")
]
Model = Annotated[
    Path | None,
    typer.Option(metavar="BUNDLE", help="Model bundle, a folder or zip; default: the shipped one."),
]
ForProcessing = Annotated[
    Literal["assess", "abstain"],
    typer.Option(
        help="What to do with DICOM images that say they are FOR PROCESSING: assess them with a "
        "flag, or give no prediction."
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Continue an interrupted prediction in --out, or stop where there is none. Without "
        "it, one is continued where there is.",
        rich_help_panel=_AGAIN,
    ),
]
Restart = Annotated[
    bool,
    typer.Option(
        "--restart",
        help="Begin anew, and drop what an interrupted prediction left in --out.",
        rich_help_panel=_AGAIN,
    ),
]

SOME_WITH_ERRORS = 4
NO_PICTURE = "no explanation"
METHOD = "lime"  # of `explain`
_MESSAGES = 5  # of files with errors that are printed


def same_options_as(
    command: Callable[..., None], **defaults: object
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of another one, some with defaults of its own."""

    def decorate(other: Callable[..., None]) -> Callable[..., None]:
        options = [
            option.replace(default=defaults.get(option.name, option.default))
            for option in signature(command, eval_str=True).parameters.values()
        ]
        other.__dict__["__signature__"] = Signature(options)
        other.__annotations__ = {option.name: option.annotation for option in options}
        return other

    return decorate


def predict(
    context: typer.Context,
    paths: Paths,
    out: Out,
    model: Model = None,
    for_processing: ForProcessing = "assess",
    method: Method = None,
    options: MethodSettings = None,
    list_methods: ListMethods = False,
    min_fidelity: Fidelity = FAIR,
    palette: Palette = "green-red",
    opacity: Opacity = 0.6,
    montage: Montage = False,
    counterfactual: Counterfactual = False,
    cohort: TrainingCohort = None,
    data: TrainingData = None,
    resume: Resume = False,
    restart: Restart = False,
    threads: Threads = None,
    json: AsJson = False,
) -> None:
    """Predict COVID-19 on chest radiographs: one row a file in predictions.csv.

    A row has the class, its probability and flags. A file that cannot be read has a row that says
    why, and so has an image that is no upright frontal chest radiograph. Rows are kept whatever
    ends the program: the same command continues. `explain` is the same with pictures by default.
    The exit status is 4 if a file could not be read or a picture not written.

    Examples:

    `covid-cxr predict radiograph.png --out out`

    `covid-cxr predict radiographs/ more/chest.dcm --method cam --montage --out out`
    """
    import covid_cxr
    from covid_cxr.explain.rendering.overlay import OverlayStyle
    from covid_cxr.inference.batch import predict_to
    from covid_cxr.inference.explaining import ExplainSettings

    settings = None
    if options and not method:
        raise InputError(f"--set {options[0]} is of no method; name one with --method")
    if method:
        settings = ExplainSettings(
            method,
            explainers.get(method).configure(explainers.parse(options or [])),
            OverlayStyle(palette=palette, opacity=opacity),
            least_fidelity=min_fidelity,
            montage=montage,
            counterfactual=counterfactual,
            load_image=_image_loader(cohort, data),
        )
    predictor = covid_cxr.load(model, threads, for_processing)
    with output.progress(context):
        path = predict_to(out, predictor, paths, settings=settings, start=_start(resume, restart))
    _report(path, json)


@same_options_as(predict, method=METHOD)
def explain(**given: Any) -> None:
    """Predict COVID-19 on chest radiographs and draw why: `predict` with --method lime.

    Beside each radiograph stands the same with the regions in green that support the predicted
    class and those in red that speak against it, where in the lungs they lie, and how far the
    picture can be trusted (fidelity). A JSON beside it has the weight of every region and the
    training images most similar to the radiograph.

    Examples:

    `covid-cxr explain radiograph.png --out out`

    `covid-cxr explain radiographs/ --method lime --set samples=300 --set fill=blur --out out`
    """
    predict(**given)


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
