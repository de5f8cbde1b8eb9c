"""The base class of models that are read from or written to the outside."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class FrozenModel(BaseModel):
    """A validated, immutable value; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FromAnyVersion(FrozenModel):
    """A value that another version of clusterview may have written: fields unknown here are left out."""

    model_config = ConfigDict(extra="ignore")
