"""The command `cohort show`: a cohort's summary in the terminal and as a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from covid_cxr.cli import output
from covid_cxr.cli.options import AsJson, Data, data_root
from covid_cxr.errors import ConfigError
from covid_cxr.types import DISCLAIMER

if TYPE_CHECKING:
    from covid_cxr.cohort.summary.summary import CohortSummary
    from covid_cxr.cohort.summary.tables import TextTable


def show_cohort(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="cohort.csv, as `covid-cxr cohort build` writes it."),
    ],
    data: Data = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for a page with tables and figures, and summary.json."),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Random seed; chooses the images of montages.")
    ] = 0,
    json: AsJson = False,
) -> None:
    """Summarise a cohort: images, patients and labels per source, what is missing, what confounds.

    `--out` also writes a page; `--data` adds montages of random images and of duplicates, which
    show patients' radiographs: never publish or commit them.

    Examples:

    `covid-cxr cohort show cohort/cohort.csv`

    `covid-cxr cohort show cohort/cohort.csv --data DATA --out cohort/summary`
    """
    from covid_cxr.cohort import build, schema
    from covid_cxr.cohort.summary.summary import summarise

    if data and not out:
        raise ConfigError("--data draws montages, which need a folder: give --out DIR")
    root = data_root(data, None) if data else None
    cohort = schema.load(file)
    summary = summarise(cohort, seed=seed, flags=build.read_flags(file))
    written: list[str] = []
    if out:
        from covid_cxr.report import cohort_page

        page = cohort_page.write_summary(
            summary, cohort, out, name="/".join(file.resolve().parts[-2:])
        )
        written.append(f"Page: {page}")
    if out and root:
        from covid_cxr.cohort.summary import montage

        with output.progress(context):
            pages = montage.montages(cohort, root, out / "montages", seed)
        written.append(f"Montages: {len(pages)} in {out / 'montages'} ({montage.PRIVATE})")
    if json:
        output.as_json(summary.record())
        return
    _print(summary)
    for line in written:
        output.out.print(line, soft_wrap=True, markup=False)
    output.out.print(DISCLAIMER, style="dim")


def _print(summary: CohortSummary) -> None:
    from covid_cxr.cohort.summary.tables import text_tables

    output.out.print(
        f"{summary.images:,} images of {summary.patients:,} patients; "
        f"{summary.excluded:,} rows left out",
        highlight=False,
    )
    for table in text_tables(summary):
        output.out.print()
        output.out.print(_table(table))
        if table.note:
            output.out.print(table.note, style="dim", highlight=False)
    output.out.print()
    output.out.print("[bold]Warning[/bold]" if summary.warnings.warns else "[bold]In words[/bold]")
    for sentence in summary.warnings.sentences:
        output.out.print(sentence, markup=False, highlight=False)
    output.out.print()


def _table(text: TextTable) -> Table:
    table = Table(title=text.title, title_justify="left", box=None, pad_edge=False, padding=(0, 1))
    for number, column in enumerate(text.columns):
        is_text = number < text.texts
        table.add_column(column, justify="left" if is_text else "right", no_wrap=not is_text)
    for row in text.rows:
        table.add_row(*map(escape, row))
    return table
