"""The command `cohort show`: what a cohort holds, lacks and gives away."""

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
    file: Annotated[Path, typer.Argument(metavar="FILE", help="cohort.csv of `cohort build`.")],
    data: Data = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for cohort.html, account.json, tables, figures.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the films and patients drawn.")] = 0,
    json: AsJson = False,
) -> None:
    """Say what a cohort holds and lacks, and whether its sources give the finding away.

    With `--out` also as a page; with `--data` as well, contact sheets of drawn films and of
    duplicates. Contact sheets hold real films: never publish or commit them.

    Examples:

    `covid-cxr cohort show cohort/cohort.csv`

    `covid-cxr cohort show cohort/cohort.csv --data DATA --out cohort/account`
    """
    from covid_cxr.cohort import schema
    from covid_cxr.cohort.summary import summary

    if data and not out:
        raise ConfigError("--data draws contact sheets, which need a folder: give --out DIR")
    root = data_root(data, None) if data else None
    cohort = schema.load(file)
    found = summary.summarise(cohort, seed=seed)
    written: list[str] = []
    if out:
        from covid_cxr.report import cohort_page

        page = cohort_page.write_account(
            found, cohort, out, name="/".join(file.resolve().parts[-2:])
        )
        written.append(f"Page: {page}")
    if out and root:
        from covid_cxr.cohort.summary import montage

        with output.progress(context):
            sheets = montage.montages(cohort, root, out / "sheets", seed)
        written.append(f"Contact sheets: {len(sheets)} in {out / 'sheets'} ({montage.PRIVATE})")
    if json:
        output.as_json(found.record())
        return
    _tell(found)
    for line in written:
        output.out.print(line, soft_wrap=True, markup=False)
    output.out.print(DISCLAIMER, style="dim")


def _tell(found: CohortSummary) -> None:
    from covid_cxr.cohort.summary.tables import text_tables

    output.out.print(
        f"{found.images:,} images of {found.patients:,} patients; {found.excluded:,} rows left out",
        highlight=False,
    )
    for table in text_tables(found):
        output.out.print()
        output.out.print(_table(table))
        if table.note:
            output.out.print(table.note, style="dim", highlight=False)
    output.out.print()
    output.out.print("[bold]Warning[/bold]" if found.warnings.warns else "[bold]In words[/bold]")
    for sentence in found.warnings.sentences:
        output.out.print(sentence, markup=False, highlight=False)
    output.out.print()


def _table(shown: TextTable) -> Table:
    table = Table(title=shown.title, title_justify="left", box=None, pad_edge=False, padding=(0, 1))
    for place, column in enumerate(shown.columns):
        text = place < shown.texts
        table.add_column(column, justify="left" if text else "right", no_wrap=not text)
    for row in shown.rows:
        table.add_row(*map(escape, row))
    return table
