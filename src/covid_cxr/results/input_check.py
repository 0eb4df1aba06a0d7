"""What the input check and the reading of files say of training images."""

from __future__ import annotations

from pydantic import Field

from covid_cxr.results.estimates import Record


class InputCheckCounts(Record):
    """Of one source: images, those that would be abstained from by reason, and flags of reading."""

    images: int
    abstained: dict[str, int] = Field(default_factory=dict)
    flags: dict[str, int] = Field(default_factory=dict)

    @property
    def unanswered(self) -> int:
        """How many images would be abstained from."""
        return sum(self.abstained.values())
