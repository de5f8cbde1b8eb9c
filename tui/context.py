"""What the app shares with its screens, so that screens need not know the app."""

from __future__ import annotations

from dataclasses import dataclass, field

from cluster.bridge.session import Session
from tui.setup import Setup
from tui.store import Store


@dataclass
class AppContext:
    """Options, session and what it has reported. Screens read it; only the app replaces its fields."""

    setup: Setup
    session: Session
    store: Store = field(default_factory=Store)
    address_options: tuple[str, ...] = ()
    """Options with which `clusterview stop` reaches the session's cluster."""
