"""Recovery: how soon a status shows a killed or stopped process, and how soon all replicas serve again.

One process at a time, on a simulated cluster of two nodes with two replicas of two ranks. 'held' stops a
process again each time something continues it, until it is replaced, like a process that hangs permanently.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import tempfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager

from cluster.bridge.open_session import open_session
from cluster.bridge.state.records import keeper_lives, read_record
from cluster.cli.session_view import SessionView
from cluster.deploy.process_state import ProcessState, state_of
from cluster.deploy.status import DeploymentStatus
from cluster.errors import ClusterviewError
from tests.ray.support import order
from tests.ray.victims import held, victim

SPEC = "2x2xL4"
LIMIT_S = 120.0
SETTLED_S = 4.0
KILL, STOP, HELD = "SIGKILL", "SIGSTOP", "held"
HEALS = (
    ("rank", (KILL, STOP, HELD)),
    ("router", (KILL, STOP, HELD)),
    ("controller", (KILL, STOP, HELD)),
    ("probe", (KILL, STOP)),
    ("bridge", (KILL, STOP)),
    ("gcs", (STOP,)),
    ("keeper", (STOP,)),
    ("guard", (STOP,)),
    ("raylet", (STOP,)),
)
ENDS = (("raylet", KILL), ("raylet", HELD), ("gcs", KILL), ("keeper", KILL), ("guard", KILL))


def main() -> None:
    """Print a line per process and signal (targets: noticed within 10 s, serving again within 30 s)."""
    with tempfile.TemporaryDirectory() as state:
        os.environ["CLUSTERVIEW_STATE_DIR"] = state
        print(f"{'part':<12}{'signal':<10}{'noticed':>9}{'serves again':>14}  what the status said")
        with _serving() as view:
            for part, ways in HEALS:
                for way in ways:
                    _measure(view, part, way)
        for part, way in ENDS:
            with _serving() as view:
                _measure_loss(view, part, way)


@contextlib.contextmanager
def _serving():  # type: ignore[no-untyped-def]
    """A session with the deployment 'pair', ready; stopped afterwards if it still exists."""
    with SessionView(open_session(address=None, simulate=SPEC), shows_progress=False) as view:
        cluster = view.settled_cluster(LIMIT_S)
        spec = order(cluster, "pair", [[(0, 0), (0, 1)], [(1, 0), (1, 1)]], planned_bytes=2**30)
        view.session.deploy(spec).result(LIMIT_S)
        assert view.wait(lambda: _state(view) == "ready", LIMIT_S), view.find("pair")
        yield view
        with contextlib.suppress(ClusterviewError):
            view.session.stop("pair").result(LIMIT_S)
    # Otherwise the next session would join a cluster that has lost a process.
    _until(lambda: not keeper_lives(SPEC), LIMIT_S, time.monotonic())


def _state(view: SessionView) -> str:
    found = view.find("pair")
    return "" if found is None else str(found.state)


def _pid(view: SessionView, part: str) -> int:
    record = read_record(SPEC)
    assert record is not None and view.cluster is not None
    return victim(record, part, view.cluster.nodes[1].node_id)


def _hit(pid: int, way: str) -> AbstractContextManager[None]:
    if way == HELD:
        return held(pid)
    os.kill(pid, getattr(signal, way))
    return contextlib.nullcontext()


def _measure(view: SessionView, part: str, way: str) -> None:
    """Wait until it shows, then until a request is answered and the status is ready; print both times."""
    if way == HELD:
        # A process that was continued within the last minute would be replaced at once.
        time.sleep(61.0)
    before = view.find("pair")
    assert before is not None
    words: list[str] = []
    pid = _pid(view, part)
    with _hit(pid, way):
        noticed_s, healed_s = _follow(view, before, words, pid, way)
    said = words[0] if words else "nothing: it recovered before it could show"
    print(f"{part:<12}{way:<10}{_seconds(noticed_s):>9}{_seconds(healed_s):>14}  {said}")


def _follow(
    view: SessionView, before: DeploymentStatus, words: list[str], pid: int, way: str
) -> tuple[float | None, float | None]:
    """Return the seconds until it showed and until all replicas served again; None if it did not happen."""
    began_s, noticed_s = time.monotonic(), None
    while (now_s := time.monotonic() - began_s) < LIMIT_S:
        if noticed_s is None and _shows(view, before, words):
            noticed_s = now_s
        over = state_of(pid) is (ProcessState.RUNS if way == STOP else ProcessState.GONE)
        # If the loss has not been noticed yet, the outage is still to come.
        if over and (noticed_s is not None or now_s > SETTLED_S) and _serves(view):
            return noticed_s, time.monotonic() - began_s
        time.sleep(0.1)
    return noticed_s, None


def _measure_loss(view: SessionView, part: str, way: str) -> None:
    """For processes whose loss ends a replica or the cluster: how soon it shows, and what the status says."""
    began_s = time.monotonic()
    with _hit(_pid(view, part), way):
        noticed_s = _until(lambda: bool(_loss(view)), LIMIT_S, began_s)
        first = _loss(view)
        gone_s = _until(lambda: _is_over(_loss(view)), LIMIT_S, began_s)
    print(f"{part:<12}{way:<10}{_seconds(noticed_s):>9}{'-':>14}  {first[:90]}")
    if gone_s is not None and not _is_over(first):
        print(f"{'':<12}{'given up':<10}{_seconds(gone_s):>9}{'-':>14}  {_loss(view)[:90]}")


def _loss(view: SessionView) -> str:
    """Return what is wrong with the deployment or its cluster; '' when nothing is."""
    try:
        view.wait(lambda: False, 0)
        found = view.find("pair")
        return "" if found is None or (found.state == "ready" and not found.reason) else found.reason
    except ClusterviewError as error:
        return error.one_line()


def _is_over(loss: str) -> bool:
    return "left the cluster" in loss or "has ended" in loss


def _shows(view: SessionView, before: DeploymentStatus, words: list[str]) -> bool:
    """Return whether a status, a reading or the session reports that something is or was wrong."""
    now = view.find("pair")
    if now is not None and (now.state != "ready" or now.reason):
        words.append(now.reason[:90])
    troubled = [reading.reason for reading in view.readings if reading.state not in ("ok", "no_gpus")]
    words += [reason[:90] for reason in troubled if reason]
    if now is not None and now.router.last_trouble != before.router.last_trouble:
        words.append(f"router: {now.router.last_trouble}"[:90])
    return bool(words)


def _serves(view: SessionView) -> bool:
    found = view.find("pair")
    if found is None or found.state != "ready" or found.reason:
        return False
    if any(reading.state != "ok" for reading in view.readings):
        return False
    body = json.dumps({"model": "tiny", "prompt": [1, 2, 3], "max_tokens": 4}).encode()
    request = urllib.request.Request(
        f"{found.endpoint}/v1/completions", body, {"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return bool(json.load(answer)["choices"])
    except OSError:
        return False


def _until(is_true: Callable[[], bool], timeout_s: float, began_s: float) -> float | None:
    """Return the seconds from `began_s` until it is true, None when that takes longer than the timeout."""
    while not is_true():
        if time.monotonic() - began_s > timeout_s:
            return None
        time.sleep(0.1)
    return time.monotonic() - began_s


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"


if __name__ == "__main__":
    main()
