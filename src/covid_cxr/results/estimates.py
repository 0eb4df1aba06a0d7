"""A number with its 95 % interval, and the base of all result records."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from covid_cxr.errors import InputError
from covid_cxr.files import atomic_write

UNDEFINED = "–"
_DECIMALS = 6


class Record(BaseModel):
    """Base of all results: unknown keys, wrong types and NaN are errors; instances are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class ResultFile(Record):
    """A record that is a JSON file of its own."""

    @classmethod
    def json_schema(cls) -> str:
        """Return the JSON schema of the file, as `docs/reference/` holds it."""
        return json.dumps(cls.model_json_schema(), indent=2) + "\n"

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the file.

        Raises:
            InputError: there is no such file, or it does not hold this record.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise InputError(f"'{path}' cannot be read: {error.strerror}") from error
        except ValidationError as error:
            problem = error.errors()[0]
            key = ".".join(map(str, problem["loc"])) or "the file"
            raise InputError(
                f"'{path}' is not the {path.name} of this version of covid-cxr: {key}: "
                f"{problem['msg']}; make it again"
            ) from error

    def write(self, path: Path) -> None:
        """Write the file, or leave the old one untouched."""
        atomic_write(path, self.model_dump_json(indent=2) + "\n")


class Estimate(Record):
    """A number and the ends of its 95 % interval; None where undefined."""

    value: float | None
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, value: float, low: float = math.nan, high: float = math.nan) -> Self:
        """Return the estimate of numbers that may be NaN, rounded.

        >>> Estimate.of(0.25, 0.1234567, math.nan)
        Estimate(value=0.25, low=0.123457, high=None)
        """
        return cls(value=rounded(value), low=rounded(low), high=rounded(high))

    def format(self, digits: int = 3, *, signed: bool = False) -> str:
        """Return the number and its interval as text.

        Args:
            digits: decimals.
            signed: write the sign of positive numbers too, as for a difference.

        >>> Estimate(value=0.72, low=0.6, high=0.81).format(2)
        '0.72 (0.60-0.81)'
        >>> Estimate(value=-0.1, low=-0.3, high=0.1).format(1, signed=True)
        '-0.1 (-0.3 to +0.1)'
        >>> Estimate(value=0.5).format(), Estimate(value=None).format()
        ('0.500', '–')
        """
        if self.value is None:
            return UNDEFINED
        value = f"{self.value:{'+' if signed else ''}.{digits}f}"
        interval = self.format_interval(digits, signed=signed)
        return f"{value} ({interval})" if interval else value

    def format_interval(self, digits: int = 3, *, signed: bool = False) -> str:
        """Return the interval alone as text; "" where there is none."""
        if self.low is None or self.high is None:
            return ""
        to = " to " if signed or self.low < 0 else "-"
        low, high = (f"{end:{'+' if signed else ''}.{digits}f}" for end in (self.low, self.high))
        return f"{low}{to}{high}"

    def is_below(self, bound: float) -> bool:
        """Whether the whole interval is below a number; not without an interval."""
        return self.high is not None and self.high < bound

    def is_above(self, bound: float) -> bool:
        """Whether the whole interval is above a number; not without an interval."""
        return self.low is not None and self.low > bound

    def __str__(self) -> str:
        return self.format()


def rounded(value: float, digits: int = _DECIMALS) -> float | None:
    """Return a finite number rounded as result files hold it; None for any other."""
    return round(float(value), digits) if math.isfinite(value) else None
