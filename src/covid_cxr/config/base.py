"""What all settings have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Base of all settings: unknown keys are an error, values cannot be changed afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)
