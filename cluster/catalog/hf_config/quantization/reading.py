"""What a reader of a quantization method returns: formats by module, and what happens to activations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cluster.catalog.hf_config.fields import Fields
from cluster.catalog.hf_config.quantization.scheme import Rule
from cluster.catalog.model_spec import WeightFormat


@dataclass(frozen=True)
class Reading:
    """A method's name, its rules in order, and what it does to activations."""

    method: str
    rules: tuple[Rule, ...]
    activation: str | None = None
    converts_head: bool = False
    notes: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    """Other names the same checkpoint answers to."""
    drops_left_out: bool = False
    """The list of modules left out is about one of several formats: the rules say it all."""


def every_linear(stored: WeightFormat) -> tuple[Rule, ...]:
    """Return the rule that stores every linear module as `stored`."""
    return (Rule(None, stored),)


MethodReader = Callable[[Fields, Fields], Reading]
"""Takes the quantization_config section and the whole config's fields."""
