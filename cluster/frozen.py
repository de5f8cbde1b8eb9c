"""The base of every model at a boundary: frozen, complete, nothing extra."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class FrozenModel(BaseModel):
    """A value that never changes after it was checked; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FromAnyVersion(FrozenModel):
    """A value that another version of clusterview may have written: fields unknown here are left out."""

    model_config = ConfigDict(extra="ignore")
