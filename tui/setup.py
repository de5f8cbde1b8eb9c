"""The options that the app is opened with. Below app and screens, so that both can import it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from cluster.bridge.session import Session
from cluster.planner.request import PlanRequest
from tui.deploy_spec import SpecFunction, order_now
from tui.planner.by_name import PlanFunction, plan_with_catalog
from tui.themes import PALETTES


@dataclass(frozen=True, slots=True)
class Example:
    """A model and a cluster spec that the explanation page plans live; `answer` and `why` hold the result."""

    model: str
    cluster: str
    answer: str = ""
    why: str = ""


@dataclass(frozen=True)
class Setup:
    """What the app is opened with."""

    models: tuple[str, ...] = ()
    """Names or paths; the first that fits is shown."""
    request: PlanRequest = field(default_factory=PlanRequest)
    plan: PlanFunction = plan_with_catalog
    make_spec: SpecFunction = order_now
    clock: Callable[[], float] = time.time
    ascii_only: bool = False
    theme: str = PALETTES[0].name
    examples: tuple[Example, ...] = ()
    """Planned live on the explanation page."""
    open_simulated: Callable[[], Session] | None = None
    """Opens a simulated cluster where this machine has no GPU; None where that is impossible."""
    simulated_name: str = ""
    """Spec of the cluster that `open_simulated` opens."""
    address_options: tuple[str, ...] = ()
    """Options with which `clusterview stop` reaches the same cluster."""
    reopen: Callable[[], Session] | None = None
    """Opens the same cluster again after its session was lost."""
    simulate_without_gpus: bool = False
    """Open the simulated cluster without being asked when this machine turns out to have no GPU."""
