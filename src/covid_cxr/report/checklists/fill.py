"""From the items of a checklist and a run to a filled checklist."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import yaml

from covid_cxr.report.checklists import data, model, results
from covid_cxr.report.checklists.facts import Facts
from covid_cxr.types import DISCLAIMER

AUTHOR = "To be stated by the author"
NAMES = ("claim-2024", "tripod-ai")
ANSWERS = data.ANSWERS | model.ANSWERS | results.ANSWERS


@dataclass(frozen=True)
class Entry:
    """One item.

    Attributes:
        number: as the checklist numbers it.
        text: what it asks, paraphrased.
        answer: from the run, "" where the run knows nothing of it.
        rest: what the author adds, "" where nothing is left.
    """

    number: str
    text: str
    answer: str
    rest: str

    @property
    def told(self) -> str:
        """The answer, and what is left to the author."""
        if not self.rest:
            return self.answer
        left = AUTHOR if self.rest == AUTHOR else f"{AUTHOR}: {self.rest}"
        return f"{self.answer} {left}.".strip()


@dataclass(frozen=True)
class Section:
    """Items under one heading."""

    name: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Filled:
    """A checklist with its answers; `file` is its name in a run folder."""

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


def fill(facts: Facts) -> tuple[Filled, ...]:
    """Return both checklists, every item of each in order."""
    return tuple(_fill(name, facts) for name in NAMES)


def markdown(checklist: Filled) -> str:
    """Return a filled checklist as a Markdown page."""
    lines = [f"# {checklist.title}", "", f"**{DISCLAIMER}**", "", checklist.reference, ""]
    lines += [
        f"Filled from the run alone: {checklist.summary}. Numbers are 95 % intervals over patients."
    ]
    for section in checklist.sections:
        lines += [
            "",
            f"## {section.name}",
            "",
            "| item | what it asks | answer |",
            "| --- | --- | --- |",
        ]
        lines += [
            f"| {entry.number} | {_cell(entry.text)} | {_cell(entry.told)} |"
            for entry in section.entries
        ]
    return "\n".join(lines) + "\n"


def _fill(name: str, facts: Facts) -> Filled:
    raw: Mapping[str, Any] = yaml.safe_load(
        files(__package__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    )
    sections = tuple(
        Section(each["name"], tuple(_entry(item, facts) for item in each["entries"]))
        for each in raw["sections"]
    )
    return Filled(raw["title"], raw["file"], raw["reference"], sections)


def _entry(item: Mapping[str, str], facts: Facts) -> Entry:
    told = ANSWERS[item["answer"]](facts) if "answer" in item else None
    rest = item.get("rest", "") if told else AUTHOR
    return Entry(str(item["number"]), item["text"], told or "", rest)


def _cell(text: str) -> str:
    """Return text that stays in its cell, whatever names of the data it holds."""
    plain = " ".join(text.split())
    for sign in ("\\", "|", "<", "`", "*", "_", "[", "]"):
        plain = plain.replace(sign, "\\" + sign)
    return plain
