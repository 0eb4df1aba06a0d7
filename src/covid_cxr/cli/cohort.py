"""Commands on the table of images: cohort build, check, show and fetch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from covid_cxr.cli import output
from covid_cxr.cli.cohort_show import show_cohort
from covid_cxr.cli.fetch import fetch
from covid_cxr.cli.options import AsJson, Command, Settings, data_root
from covid_cxr.errors import ConfigError


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(
        no_args_is_help=True,
        help="Download data sets; build, check and summarise the table of their images.",
    )
    for name, command in (
        *(("build", build_cohort), ("check", check_cohort)),
        *(("show", show_cohort), ("fetch", fetch)),
    ):
        group.command(name, cls=Command)(command)
    app.add_typer(group, name="cohort", rich_help_panel="Prepare data")


def build_cohort(
    context: typer.Context,
    data: Annotated[Path, typer.Option(help="Folder that holds the data sets.")],
    out: Annotated[Path, typer.Option(help="Folder for cohort.csv and the tables beside it.")],
    config: Annotated[
        Path | None,
        typer.Option(help="YAML file whose `cohort` section is used, or one of: {recipes}."),
    ] = None,
    dataset: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PATH",
            help="Read only the data sets named so, each with its folder; may be repeated. "
            "Default: all that are recognised in --data. NAME is one of: {datasets}.",
        ),
    ] = None,
    settings: Settings = None,
    processes: Annotated[
        int | None,
        typer.Option(min=1, max=256, help="Processes that read images; default: one per core."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Make one table of all images: exclude, find duplicates, split by patient.

    The data sets in --data are recognised by their files. Run again, the same command reads only
    files that are new or have changed.

    Examples:

    `covid-cxr cohort build --data DATA --out cohort`

    `covid-cxr cohort build --data DATA --out unseen -s cohort.strategy=leave-one-source-out
    -s cohort.held_out=mila`

    `covid-cxr cohort build --data DATA --out ours --dataset dicom=/export
    -s cohort.filters.views='[PA, AP]'`
    """
    import covid_cxr
    from covid_cxr import config as configuration
    from covid_cxr.cohort import build, notes
    from covid_cxr.config import DatasetConfig

    chosen = configuration.load(config, settings or ())
    if dataset:
        named = _named_paths(dataset)
        datasets = {name: DatasetConfig(adapter=name, path=path) for name, path in named.items()}
        cohort = chosen.cohort.model_copy(update={"datasets": datasets})
        chosen = chosen.model_copy(update={"cohort": cohort})
    root, processes = data_root(data, None), processes or os.cpu_count() or 1
    with output.progress(context):
        result = covid_cxr.build_cohort(root, out, config=chosen, processes=processes)
    counts = build.split_counts(result.cohort)
    if json:
        output.as_json(counts.to_dict("records"))
        return
    output.out.print(counts.to_string(index=False))
    for line in notes.notes(result):
        output.out.print(line, soft_wrap=True, markup=False, highlight=False)
    output.out.print(f"Cohort: {out / 'cohort.csv'}; its tables are beside it", soft_wrap=True)


def check_cohort(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="cohort.csv, as built or edited.")],
    data: Annotated[
        Path | None, typer.Option(help="Data root: also compare each file with its sha256.")
    ] = None,
) -> None:
    """Check that no patient and no duplicate image is in two splits.

    Each one that is gets a line, and the exit status is 3.

    Ids that may be two spellings of one patient are a warning. With `--data`, files that were
    replaced or are gone since the cohort was built end with exit status 3 too.

    Examples:

    `covid-cxr cohort check runs/default/cohort.csv`

    `covid-cxr cohort check cohort/cohort.csv --data DATA`
    """
    from covid_cxr.cohort import inventory, patient_ids, schema
    from covid_cxr.cohort.splits import leakage

    cohort = schema.read(file)
    problems = leakage.find_leaks(cohort)
    spellings = patient_ids.spelling_warnings(cohort)
    altered = []
    if data:
        with output.progress(context):
            altered = inventory.altered(cohort, data_root(data, None))
    lines = [*problems, *altered, *(f"Warning: {spelling}" for spelling in spellings)]
    for line in lines:
        output.out.print(line, soft_wrap=True, markup=False, highlight=False)
    if not problems:
        unless = ", unless an id above is another's second spelling" if spellings else ""
        output.out.print(f"No leak in {file}{unless}", soft_wrap=True)
    if data and not altered:
        output.out.print(f"All files below {data} are those of the cohort", soft_wrap=True)
    if problems or altered:
        raise typer.Exit(3)


def _named_paths(texts: list[str]) -> dict[str, str]:
    named = dict(map(_named_path, texts))
    if len(named) < len(texts):
        names = [text.partition("=")[0] for text in texts]
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError(
            f"--dataset names '{twice}' more than once; name sources of one kind in a file, each "
            f"with 'adapter: {twice}' and a path under cohort.datasets, and give it as --config"
        )
    return named


def _named_path(text: str) -> tuple[str, str]:
    name, sep, path = text.partition("=")
    if not (name and sep and path):
        raise ConfigError(f"--dataset '{text}' is not NAME=PATH, such as mila=/data/mila")
    return name, str(Path(path).resolve())
