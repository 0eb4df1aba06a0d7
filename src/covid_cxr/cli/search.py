"""The commands `search` and `search-dashboard`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from covid_cxr.cli import output
from covid_cxr.cli.options import AsJson, CohortFile, Data, data_root
from covid_cxr.errors import ConfigError, MissingDependency
from covid_cxr.types import DISCLAIMER

if TYPE_CHECKING:
    from covid_cxr.search import Sampler, SearchResult
else:
    Sampler = Literal["tpe", "random", "grid", "exhaustive"]

Storage = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Relational store, such as postgresql://user@host/name; default SQLite in the folder.",
    ),
]


def search(
    context: typer.Context,
    config: Annotated[
        Path,
        typer.Argument(
            metavar="CONFIG",
            help="YAML file, or search-linear-probe or search-original, which ship.",
        ),
    ],
    cohort: CohortFile,
    data: Data = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder; default runs/ and the search's name.")
    ] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Number of trials.")] = None,
    timeout: Annotated[
        float | None, typer.Option(min=0, help="Seconds after which no trial is started.")
    ] = None,
    storage: Storage = None,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes.")] = 1,
    sampler: Annotated[
        Sampler | None, typer.Option(help="exhaustive: every combination of a finite space.")
    ] = None,
    nested: Annotated[
        int,
        typer.Option(
            min=0,
            max=50,
            metavar="K",
            help="Repeat the search K times without a part of the patients, and score its choice "
            "on them: what choosing really gains.",
        ),
    ] = 0,
    json: AsJson = False,
) -> None:
    """Search for better settings of a recipe, on training and validation images; test is not read.

    Killed and started again, it continues; several processes on one folder or storage share the
    work. Writes best.yaml, which `covid-cxr train` takes, trials.csv and search.html.

    Example: `covid-cxr search search-linear-probe --cohort cohort.csv --data DATA`
    """
    from covid_cxr.cohort import schema

    if nested == 1:
        raise ConfigError("--nested 1: expected at least 2 outer folds, or 0 for none")
    package = _needed()
    chosen = package.load(config)
    update = {"trials": trials, "sampler": sampler}
    chosen = chosen.model_copy(update={key: value for key, value in update.items() if value})
    root = data_root(data, chosen.recipe.data_root)
    out = out or Path("runs") / chosen.name
    with output.progress(context):
        result = package.search(
            chosen,
            schema.load(cohort),
            root,
            out,
            timeout=timeout,
            storage=storage,
            workers=workers,
            nested=nested,
        )
    _print(result, out, json)


def search_dashboard(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a search.")],
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this computer.")] = 8080,
    storage: Storage = None,
) -> None:
    """Show a search while it runs, with optuna-dashboard, on this computer only (127.0.0.1).

    Example: `covid-cxr search-dashboard runs/search-linear-probe`
    """
    opened = _needed().SearchFolder.open(folder, storage)
    try:
        import optuna_dashboard
    except ModuleNotFoundError as error:
        raise _missing(error) from error
    from covid_cxr.search.storage import open_storage

    store = open_storage(opened.storage, opened.search.heartbeat)
    output.out.print(f"http://127.0.0.1:{port}  (Ctrl-C ends it)")
    optuna_dashboard.run_server(store, host="127.0.0.1", port=port)


def _print(result: SearchResult, out: Path, json: bool) -> None:
    from covid_cxr.search.page import sentences

    if json:
        nested = result.nested
        output.as_json(
            {
                "trials": len(result.trials),
                "metric": result.search.objective.metric,
                "default": result.default.values[0],
                "best": result.best.values[0],
                "best_trial": result.best.number,
                "parameters": dict(result.best.parameters),
                "constant_prior": result.constant_prior,
                "nested_gain": nested.gain if nested else None,
                "promised_gain": nested.promised if nested else None,
            }
        )
        return
    for sentence in sentences(result):
        output.out.print(sentence, highlight=False)
    for name in ("search.html", "best.yaml"):
        output.out.print(str(out / name), soft_wrap=True)
    output.out.print(DISCLAIMER, style="dim")


def _needed() -> Any:
    """Import the package.

    Raises:
        MissingDependency: the extra `search` is not installed.
    """
    try:
        import covid_cxr.search as package
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("covid_cxr"):
            raise
        raise _missing(error) from error
    return package


def _missing(error: ModuleNotFoundError) -> MissingDependency:
    return MissingDependency(
        f"a search needs the package '{error.name}', which is not installed: "
        "pip install 'covid-cxr[search]'"
    )
