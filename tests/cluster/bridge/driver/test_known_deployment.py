"""What a session shows of a deployment whose controller does not answer."""

from __future__ import annotations

import time

from cluster.bridge.driver.known_deployment import KnownDeployment
from cluster.deploy.status import DeploymentState, DeploymentStatus
from cluster.deploy.stuck import StuckWatch, Suspicion

READY = DeploymentStatus(name="pair", model="m", label="TP=2", state=DeploymentState.READY)


def known(
    status: DeploymentStatus | None, *, heard_ago_s: float, asked_ago_s: float | None
) -> KnownDeployment:
    now_s = time.monotonic()
    entry = KnownDeployment("pair", None, StuckWatch(None, "ray::Controller", Suspicion(hung_s=None)))
    entry.status, entry.heard_at_s = status, now_s - heard_ago_s
    if asked_ago_s is not None:
        entry.asked, entry.asked_at_s = object(), now_s - asked_ago_s
    return entry


def test_a_controller_that_answers_is_shown_as_it_says() -> None:
    assert known(READY, heard_ago_s=1.0, asked_ago_s=None).now() is READY
    assert known(READY, heard_ago_s=1.0, asked_ago_s=0.5).now() is READY


def test_a_silent_controller_is_never_ready() -> None:
    shown = known(READY, heard_ago_s=7.0, asked_ago_s=6.0).now()
    assert shown.state == "degraded"
    assert "its controller has not answered for 7 s" in shown.reason


def test_a_new_session_counts_from_what_was_posted() -> None:
    """It has asked for a second only, and yet the controller has been silent for nine."""
    assert "for 9 s" in known(READY, heard_ago_s=9.0, asked_ago_s=1.6).now().reason


def test_nothing_known_is_no_state_made_up() -> None:
    shown = known(None, heard_ago_s=0.0, asked_ago_s=1.0).now()
    assert (shown.state, shown.reason, shown.ranks) == ("starting", "its controller is starting", ())
