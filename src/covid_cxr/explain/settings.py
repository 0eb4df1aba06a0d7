"""What an explainer is run with: typed, bounded, and read from `name=value`.

Every explainer has a class of its own, a subclass of `Settings` with its fields and their bounds;
`configure` makes one of values as a user wrote them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, InstanceOf, ValidationError

from covid_cxr.errors import InputError, UnknownName
from covid_cxr.types import Lungs

Fill = Literal["mean", "dark", "blur", "dataset"]
Superpixels = Literal["quickshift", "slic", "lungs", "grid"]
Sampling = Literal["bernoulli", "antithetic", "balanced"]
FAIR = 0.5  # fidelity from which a map may be relied on
_NOT_RECORDED = {"seed", "batch_size"}  # the seed has a place of its own; batches change nothing


class Settings(BaseModel):
    """What every explainer is run with; derive from it to add a method's own settings.

    Give each field a default, bounds and a description, so that `name=value` can be checked and
    the help can list it:

    >>> class MySettings(Settings):
    ...     masks: int = Field(1000, ge=10, le=20_000, description="number of random masks")
    >>> MySettings(masks=500).masks
    500

    Attributes:
        seed: random seed; the same seed gives the same explanation.
        batch_size: images per forward pass; changes memory and time, not the explanation.
        lungs: of the explained image, on any grid that spans it, None where not known; set by the
            caller, not by the user.
        needs: what the method needs of a bundle that not every bundle has, for the error message:
            `covid_cxr.explain.CLASS_MAPS` or `.WEIGHTS`; annotate it as ClassVar, as here.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    needs: ClassVar[str | None] = None

    seed: int = Field(0, ge=0, lt=2**32, description="random seed")
    batch_size: int = Field(64, ge=1, le=1024, description="images per forward pass")
    lungs: InstanceOf[Lungs] | None = Field(None, exclude=True, repr=False)

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names of the settings that a user can set."""
        return tuple(name for name in cls.model_fields if name != "lungs")

    @property
    def rng(self) -> np.random.Generator:
        """A generator of random numbers, the same for the same seed."""
        return np.random.default_rng(self.seed)

    def record(self) -> dict[str, Any]:
        """Return what an explanation records of them, JSON-ready."""
        return self.model_dump(mode="json", exclude=_NOT_RECORDED)


class FillSettings(Settings):
    """Settings of a method that hides parts of the image.

    Attributes:
        fill: what replaces a hidden part: its "mean" grey (COVID-CXR, 2020), "dark" (the grey of
            clear lung), the image under a strong "blur", or the mean of the "dataset" (0.5, which
            every standardised image has). The mean of a hazy region is as hazy as the region, so
            that only the other three ask what the model would say without the haze.
    """

    fill: Fill = Field("mean", description="what replaces a hidden region")


class RegionSettings(FillSettings):
    """Settings of a method that hides superpixels.

    Attributes:
        superpixels: the regions that are hidden: "quickshift" (COVID-CXR, 2020), "slic", "lungs"
            (SLIC that never crosses the border of a lung; plain SLIC where none were found) or a
            square "grid".
        regions: number of superpixels to aim at; quickshift chooses its own.
    """

    superpixels: Superpixels = Field("lungs", description="how regions are cut")
    regions: int = Field(
        32, ge=2, le=1000, description="number of regions; quickshift chooses its own"
    )


S = TypeVar("S", bound=Settings)


def configure(settings: type[S], values: Mapping[str, object], owner: str) -> S:
    """Return settings with `values`, numbers or their text, in place of defaults.

    Args:
        settings: class of the result.
        values: setting -> value, as Python or text.
        owner: what the settings are of, for the error message.

    Raises:
        UnknownName: no such setting; the message suggests the closest.
        InputError: a value is of the wrong type or out of bounds.
    """
    for name in values:
        if name not in settings.names():
            raise UnknownName(f"setting of {owner}", name, settings.names())
    plain = {k: v.item() if isinstance(v, np.generic) else v for k, v in values.items()}
    try:
        return settings.model_validate(plain)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"])) or "a setting"
        expected = (
            problem["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
        )
        message = f"{where} of {owner} is {problem['input']!r}, {expected}"
        raise InputError(message.replace("Input should be", "expected")) from error


def parse(assignments: Sequence[str]) -> dict[str, object]:
    """Return `name=value` texts as setting -> value; values are YAML ("null" is None).

    >>> parse(["samples=300", "fill=blur", "stopping_reliability=null"])
    {'samples': 300, 'fill': 'blur', 'stopping_reliability': None}

    Raises:
        InputError: a text is no `name=value`, or a name comes twice.
    """
    values: dict[str, object] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or not name:
            raise InputError(f"setting '{assignment}' is not name=value, such as samples=300")
        if name in values:
            raise InputError(f"setting '{name}' is given twice; give it once")
        try:
            values[name] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise InputError(f"setting '{assignment}': the value is not YAML") from error
    return values
