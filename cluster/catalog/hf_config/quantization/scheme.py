"""A checkpoint's storage scheme: the format of every module, given its path."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from cluster.catalog.hf_config.quantization.module_set import ModuleSet
from cluster.catalog.model_spec import Quantization, WeightFormat
from cluster.errors import BadInput

_MOST_MATCHING_S = 2.0
"""Processor time for the patterns of one config; real ones take under 0.1 s."""

# Experts' matrices by number, as some checkpoints name them: gate, up, down.
_NUMBERED = {"gate_proj": "w1", "up_proj": "w3", "down_proj": "w2"}


def _spellings(path: str, is_expert: bool) -> tuple[str, ...]:
    """Return a module's path and what other checkpoints of its kind call it."""
    if is_expert:
        parent, _, name = path.rpartition(".")
        return path, f"{parent}.{_NUMBERED.get(name, name)}"
    if ".shared_experts." in path:
        return path, path.replace(".shared_experts.", ".shared_expert.")
    return path, path.replace(".shared_expert.", ".shared_experts.")


class Meter:
    """Adds up the time that a config's patterns take: matching is linear, but a file may have many.

    Processor time of this thread, so that a busy machine does not cause a refusal.
    """

    def __init__(self) -> None:
        self._spent_s = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the time spent inside; raises BadInput once the limit is exceeded."""
        begun_s = time.thread_time()
        yield
        self._spent_s += time.thread_time() - begun_s
        if self._spent_s > _MOST_MATCHING_S:
            raise BadInput(
                f"quantization_config: its module patterns take more than {_MOST_MATCHING_S:g} s to match",
                "List fewer patterns, or the modules by name",
            )


@dataclass(frozen=True)
class Rule:
    """Modules that match `targets` (None: every linear module) are stored as `format`."""

    targets: ModuleSet | None
    format: WeightFormat
    experts_only: bool = False

    def takes(self, spellings: tuple[str, ...]) -> bool:
        """Whether the rule holds for a module that goes by these paths."""
        return self.targets is None or any(spelling in self.targets for spelling in spellings)


@dataclass(frozen=True)
class Scheme:
    """The plain dtype, the rules of a quantization in order, and what they leave out."""

    base: WeightFormat
    rules: tuple[Rule, ...] = ()
    left_out: ModuleSet = field(default_factory=lambda: ModuleSet(()))
    quantization: Quantization | None = None
    converts_head: bool = False
    """The head is stored like any linear module; the usual schemes leave it out."""
    notes: tuple[str, ...] = ()
    meter: Meter = field(default_factory=Meter, compare=False, repr=False)

    @property
    def depends_on_layer(self) -> bool:
        """Whether two layers of the same shape may be stored differently."""
        targets = [rule.targets for rule in self.rules if rule.targets is not None]
        return any(modules.names_layers for modules in (self.left_out, *targets))

    def format_of(self, path: str, is_expert: bool = False) -> WeightFormat:
        """Return how the linear module at `path` ('layers.0.mlp.down_proj') is stored."""
        if not self.rules:
            return self.base
        with self.meter.running():
            return self._matched(_spellings(path, is_expert), is_expert)

    def _matched(self, spellings: tuple[str, ...], is_expert: bool) -> WeightFormat:
        if any(spelling in self.left_out for spelling in spellings):
            return self.base
        for rule in self.rules:
            if (is_expert or not rule.experts_only) and rule.takes(spellings):
                return rule.format
        return self.base

    def table_format(self, path: str) -> WeightFormat:
        """Return how the embedding or the head is stored."""
        return self.format_of(path) if self.converts_head and path == "lm_head" else self.base
