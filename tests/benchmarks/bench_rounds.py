"""Fifty rounds of deploy and stop on one cluster, to find leaks: what grows from round to round."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from cluster.bridge.open_session import open_session
from cluster.bridge.state.records import read_record
from cluster.cli.session_view import SessionView
from cluster.deploy.spec import DeploymentSpec
from tests.ray.support import order, processes_of, ray_holds, wait_until
from tests.ray.victims import parent_of, victim, zombies_of

SPEC = "1x2xL4"
ROUNDS = 50
SHOWN_EACH = 10
LIMIT_S = 120.0


def main() -> None:
    """Print processes, zombies, placement groups, open files and memory every ten rounds."""
    with tempfile.TemporaryDirectory() as state:
        os.environ["CLUSTERVIEW_STATE_DIR"] = state
        with SessionView(open_session(address=None, simulate=SPEC), shows_progress=False) as view:
            cluster = view.settled_cluster(LIMIT_S)
            print("round  processes  zombies  groups  open files  resident MB: gcs, raylets, keeper, child")
            for number in range(ROUNDS + 1):
                if number % SHOWN_EACH == 0:
                    _show(number)
                if number < ROUNDS:
                    _round(view, order(cluster, f"round-{number}", [[(0, 0), (0, 1)]], planned_bytes=2**30))
        # The keeper ends a few seconds after the last session.
        wait_until(lambda: not list(Path(state).iterdir()), 30)
        left = sorted(path.name for path in Path(state).iterdir())
        print(f"left in the state folder after the session: {left or 'nothing'}")


def _round(view: SessionView, spec: DeploymentSpec) -> None:
    view.session.deploy(spec).result(LIMIT_S)

    def is_ready() -> bool:
        found = view.find(spec.name)
        return found is not None and found.state == "ready"

    assert view.wait(is_ready, LIMIT_S), view.find(spec.name)
    view.session.stop(spec.name).result(LIMIT_S)


def _show(number: int) -> None:
    record = read_record(SPEC)
    assert record is not None
    # Workers that Ray keeps for reuse end after about a second, zombies at the keeper's next check.
    time.sleep(4.0)
    processes = processes_of(record.temp_dir)
    raylets = [pid for pid, command in processes.items() if "/raylet/raylet" in command.split()[0]]
    gcs, child = victim(record, "gcs"), victim(record, "bridge")
    guard = parent_of(record.pid)
    zombies = sum(len(zombies_of(pid)) for pid in (record.pid, guard, *raylets))
    files = sum(_num_open(pid) for pid in (gcs, record.pid, child, *raylets))
    memory = [_resident_mb([gcs]), _resident_mb(raylets), _resident_mb([record.pid]), _resident_mb([child])]
    groups = len(ray_holds(record, _address(processes))["groups"])
    shown = ", ".join(f"{value:.0f}" for value in memory)
    print(f"{number:>5}{len(processes):>11}{zombies:>9}{groups:>8}{files:>12}  {shown}", flush=True)


def _address(processes: dict[int, str]) -> str:
    """Return the head's address, from the command line of a raylet."""
    for command in processes.values():
        for word in command.split():
            if word.startswith("--gcs-address="):
                return word.partition("=")[2]
    raise AssertionError("no process of the cluster has the head's address on its command line")


def _num_open(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _resident_mb(pids: list[int]) -> float:
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
