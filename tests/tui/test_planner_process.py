"""Planning in its own process: the same plans, one line for every failure, and nothing blocks."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.cluster_spec import parse_cluster_spec
from cluster.errors import SystemFailed, UnknownName
from cluster.planner.request import PlanRequest
from tests.tui.builders import make_cluster
from tui.background import in_background
from tui.planner.by_name import plan_with_catalog
from tui.planner.process import GRACE_S, PlannerProcess
from tui.planner.wire import PlannerFault

CLUSTER = make_cluster()
REQUEST = PlanRequest()


@pytest.fixture
def odd() -> Iterator[PlannerProcess]:
    """A planner that misbehaves by the model's name."""
    planner = PlannerProcess("tests.tui.odd_planner", answer_s=60.0)
    yield planner
    planner.close()


def process_of(planner: PlannerProcess) -> int:
    """Return the process id of the planner's process."""
    assert planner._child is not None
    return planner._child.pid


def test_the_plan_is_the_same_as_without_a_process() -> None:
    planner = PlannerProcess()
    try:
        cluster = parse_cluster_spec("2x4xA100-80GB")
        there = planner(cluster, "llama-3.1-70b", REQUEST)
        assert there == plan_with_catalog(cluster, "llama-3.1-70b", REQUEST)
        assert any(there.recommended is item for item in there.candidates), "one object, as the list expects"
    finally:
        planner.close()


def test_a_planner_error_arrives_with_its_hint(odd: PlannerProcess) -> None:
    with pytest.raises(UnknownName, match="Unknown model") as caught:
        odd(CLUSTER, "refuses", REQUEST)
    assert caught.value.hint == "Did you mean 'refuge'?"
    before = process_of(odd)
    assert odd(CLUSTER, "fine", REQUEST).model.name == "fine"
    assert process_of(odd) == before


def test_a_planner_bug_is_reported_and_the_process_survives(odd: PlannerProcess) -> None:
    with pytest.raises(PlannerFault, match="ZeroDivisionError: in the planner"):
        odd(CLUSTER, "breaks", REQUEST)
    assert odd(CLUSTER, "fine", REQUEST)


def test_a_process_that_dies_is_one_line_and_the_next_question_starts_another(odd: PlannerProcess) -> None:
    with pytest.raises(SystemFailed, match="the planning process ended \\(SIGKILL\\)"):
        odd(CLUSTER, "dies", REQUEST)
    assert odd(CLUSTER, "fine", REQUEST)


def test_a_stopped_process_is_continued(odd: PlannerProcess) -> None:
    assert odd(CLUSTER, "stops", REQUEST)


@pytest.mark.parametrize("model", ["hangs", "hogs"])
def test_a_plan_that_takes_too_long_is_canceled(model: str) -> None:
    planner = PlannerProcess("tests.tui.odd_planner", answer_s=1.0)
    try:
        with pytest.raises(SystemFailed, match=f"planning {model} took longer than 1 s"):
            planner(CLUSTER, model, REQUEST)
    finally:
        planner.close()


async def test_a_superseded_plan_is_canceled(odd: PlannerProcess) -> None:
    asked = asyncio.create_task(in_background(odd, CLUSTER, "hogs", REQUEST))
    await asyncio.sleep(GRACE_S / 2)
    asked.cancel()
    async with asyncio.timeout(30):
        assert await in_background(odd, CLUSTER, "fine", REQUEST)


@pytest.mark.parametrize("model", ["hangs", "hogs"])
def test_closing_kills_the_process_and_releases_the_waiting_thread(odd: PlannerProcess, model: str) -> None:
    failures: list[Exception] = []

    def ask() -> None:
        try:
            odd(CLUSTER, model, REQUEST)
        except SystemFailed as error:
            failures.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    end_s = time.monotonic() + 30
    while odd._child is None and time.monotonic() < end_s:
        time.sleep(0.02)
    pid = process_of(odd)
    odd.close()
    thread.join(30)
    assert [error.message for error in failures] == ["clusterview is exiting"]
    assert not Path(f"/proc/{pid}").exists()
    with pytest.raises(SystemFailed):
        odd(CLUSTER, "fine", REQUEST)


def test_the_process_ends_with_its_screen() -> None:
    """Also in the middle of a plan, when nobody is left to end it."""
    program = (
        "import os, threading, time\n"
        "from tests.tui.builders import make_cluster\n"
        "from tui.planner.process import PlannerProcess\n"
        "from cluster.planner.request import PlanRequest\n"
        "planner = PlannerProcess('tests.tui.odd_planner')\n"
        "ask = lambda: planner(make_cluster(), 'hangs', PlanRequest())\n"
        "threading.Thread(target=ask, daemon=True).start()\n"
        "while planner._child is None: time.sleep(0.02)\n"
        "time.sleep(1.0)\n"
        "print(planner._child.pid, flush=True)\n"
        "os._exit(1)\n"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    pid, end_s = int(said.stdout), time.monotonic() + 20
    while _lives(pid) and time.monotonic() < end_s:
        time.sleep(0.1)
    assert not _lives(pid)


def _lives(pid: int) -> bool:
    """Tell whether a process runs; one that only waits to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


async def test_work_that_never_returns_does_not_delay_the_exit() -> None:
    started = threading.Event()

    def forever() -> None:
        started.set()
        threading.Event().wait()

    task = asyncio.create_task(in_background(forever))
    while not started.is_set():
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "background")
