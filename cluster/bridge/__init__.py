"""The child process that is the Ray driver, and the protocol by which screens and commands talk to it."""

from __future__ import annotations

from cluster.bridge.open_session import open_session

__all__ = ["open_session"]
