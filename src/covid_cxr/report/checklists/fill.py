"""From the items of a checklist and a run to a filled checklist."""

from __future__ import annotations

from types import ModuleType
from typing import cast

from pydantic import BaseModel

from covid_cxr.cohort.download.catalogue import catalogue
from covid_cxr.files import packaged
from covid_cxr.report import formatting
from covid_cxr.report.checklists.partitions import by_source, development, partitions
from covid_cxr.report.record import RunRecord
from covid_cxr.report.verdict import verdict

AUTHOR = "To be stated by the author"
NAMES = ("claim-2024", "tripod-ai")


class Entry(BaseModel):
    """One item.

    Attributes:
        number: as the checklist numbers it.
        text: what it asks, paraphrased.
        answer: from the run, "" where the run knows nothing of it; in the YAML the macro's name.
        rest: what the author adds, "" where nothing is left.
    """

    number: str
    text: str
    answer: str = ""
    rest: str = ""

    @property
    def statement(self) -> str:
        """The answer, and what is left to the author."""
        if not self.rest:
            return self.answer
        left = AUTHOR if self.rest == AUTHOR else f"{AUTHOR}: {self.rest}"
        return f"{self.answer} {left}.".strip()


class Section(BaseModel):
    """Items under one heading."""

    name: str
    entries: tuple[Entry, ...]


class Checklist(BaseModel):
    """A checklist; `file` is its name in a run folder."""

    title: str
    file: str
    reference: str
    sections: tuple[Section, ...]

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All items in order."""
        return tuple(entry for section in self.sections for entry in section.entries)

    @property
    def summary(self) -> str:
        """How many items the run answers wholly, in part and not at all."""
        full = sum(bool(entry.answer) and not entry.rest for entry in self.entries)
        partly = sum(bool(entry.answer) and bool(entry.rest) for entry in self.entries)
        left = len(self.entries) - full - partly
        return (
            f"of {len(self.entries)} items {full} answered from the run, {partly} in part, "
            f"{left} left to the author"
        )


def read(name: str) -> Checklist:
    """Return a checklist of `NAMES`, each entry's `answer` still the name of a macro."""
    return Checklist.model_validate(packaged(__package__, f"{name}.yaml"))


def fill(run: RunRecord) -> tuple[Checklist, ...]:
    """Return both checklists, every item of each in order."""
    answers = _answers(run)
    return tuple(_fill(read(name), answers) for name in NAMES)


def markdown(checklist: Checklist) -> str:
    """Return a filled checklist as a Markdown page."""
    return formatting.render("checklist.md.j2", checklist=checklist)


def _answers(run: RunRecord) -> ModuleType:
    template = formatting.templates().get_template("answers.j2")
    cohort = run.cohort
    context = {
        "run": run,
        "cohort": [] if cohort is None else partitions(cohort),
        "sources_of_cohort": [] if cohort is None else by_source(cohort),
        "development": None if cohort is None else development(cohort),
        "catalogue": catalogue(),
        "verdict": verdict(run.metrics, run.audit),
    }
    return cast(ModuleType, template.make_module(context))


def _fill(checklist: Checklist, answers: ModuleType) -> Checklist:
    sections = tuple(
        section.model_copy(
            update={"entries": tuple(_answer(entry, answers) for entry in section.entries)}
        )
        for section in checklist.sections
    )
    return checklist.model_copy(update={"sections": sections})


def _answer(entry: Entry, answers: ModuleType) -> Entry:
    text = " ".join(getattr(answers, entry.answer)().split()) if entry.answer else ""
    return entry.model_copy(update={"answer": text, "rest": entry.rest if text else AUTHOR})
