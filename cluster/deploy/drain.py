"""How long requests in flight may go on, in seconds, with what is about to end."""

from __future__ import annotations

STOP_DRAIN_S = 30.0
"""With a deployment that is stopped; Kubernetes gives its pods as long."""
SCALE_DRAIN_S = 300.0
"""With a replica that is taken out: the others serve meanwhile, so there is no hurry."""
