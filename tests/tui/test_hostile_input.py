"""The screen on a real terminal under hostile input: any bytes come in, and few go out."""

from __future__ import annotations

import random

import pytest

from tests.tui.terminal import ESCAPES, Terminal
from tests.tui.test_real_terminal import ALTERNATE_OFF

SIZE = (160, 48)
READY = b"tok/s"
MOST_BYTES_A_KEY = 6_000
ARROWS = (b"\x1b[B", b"\x1b[B", b"\x1b[A", b"\x1b[B", b"\x1b[A", b"\x1b[A")


def live(nodes: int, *more: str, size: tuple[int, int] = SIZE) -> Terminal:
    """A screen on a cluster whose equal readings come each second."""
    arguments = ("-m", "tests.tui.live_screen", str(nodes), *more)
    return Terminal(arguments, size, COLORTERM="truecolor")


def test_noise_of_all_kinds_crashes_nothing_and_presses_no_key() -> None:
    draw = random.Random(13)
    with live(1) as terminal:
        terminal.read_until(READY)
        for noise in (
            b"\xff",
            b"\xe9\x1b[B",
            b"\xf0\x9f",
            b"\x98",
            b"\x00" * 50,
            b"\x1b[:u",
            b"\x1b[1114112u",
            b"\x1b[48;99999;99999;0;0t",
            b"\x1b[<99999999;99999999;99999999M",
            b"\x1b",
            b"[",
        ):
            terminal.send(noise)
            terminal.read_for(0.2)
        terminal.send(b"\x1b[200~")
        for _ in range(256):
            terminal.send(draw.randbytes(4096).replace(b"\x1b[201~", b""))
        terminal.send(b"\x1b[201~")
        terminal.read_while_busy(1.0)
        assert terminal.ends_within(0.5) is False
        terminal.send(b"?")
        terminal.read_until(b"Keys and symbols")
        terminal.send(b"\x1b")
        terminal.read_while_busy(1.0)
        terminal.send(b"q")
        assert terminal.wait() == 0
        assert terminal.settings() == terminal.before
    assert b"Traceback" not in terminal.output


@pytest.mark.parametrize("nodes", [1, 1250])
def test_a_screen_on_which_nothing_changes_writes_nothing(nodes: int) -> None:
    with live(nodes) as terminal:
        terminal.read_until(READY)
        terminal.read_while_busy(1.5)
        before = len(terminal.output)
        terminal.read_for(5.0)
        changed = ESCAPES.sub(b"", terminal.output[before:])
        # An age may have become '2 s' on a machine that is busy, and 'now' again.
        assert len(changed) <= 8 * nodes and len(changed) < 500
        sizes = []
        for key in ARROWS:
            before = len(terminal.output)
            terminal.send(key)
            assert terminal.read_for(30.0), "the key was answered"
            terminal.read_while_busy(0.4, 5.0)
            sizes.append(len(terminal.output) - before)
        assert max(sizes) < MOST_BYTES_A_KEY
        terminal.send(b"q")
        assert terminal.wait() == 0


def test_control_l_redraws_everything() -> None:
    with live(1, size=(80, 24)) as terminal:
        terminal.read_until(READY)
        terminal.read_while_busy(1.0)
        before = len(terminal.output)
        terminal.send(b"\x0c")
        terminal.read_while_busy(0.5)
        assert b"clusterview" in ESCAPES.sub(b"", terminal.output[before:])
        terminal.send(b"q")
        assert terminal.wait() == 0


def test_a_bug_of_ours_is_one_line_with_its_own_exit_status() -> None:
    with live(1, "broken", size=(80, 24)) as terminal:
        terminal.read_until(READY)
        terminal.send(b"v")
        assert terminal.wait() == 4
        assert terminal.settings() == terminal.before
    _, _, said = terminal.output.rpartition(ALTERNATE_OFF)
    lines = [line for line in ESCAPES.sub(b"", said).decode().splitlines() if line.strip()]
    assert len(lines) == 1
    assert "RuntimeError" in lines[0]
    assert b"\x1b]2;OWNED" not in terminal.output
    assert b"Traceback" not in terminal.output


@pytest.mark.parametrize("key", [b"q", b"\x03"])
def test_a_plan_that_hogs_its_process_blocks_neither_keys_nor_exit(key: bytes) -> None:
    with Terminal(("-m", "tests.tui.stuck_screen", "hogs"), SIZE) as terminal:
        terminal.read_until(b"Still planning hogs")
        terminal.send(b"?")
        terminal.read_until(b"Keys and symbols")
        terminal.send(b"\x1b")
        terminal.read_while_busy(1.0)
        terminal.send(key)
        assert terminal.ends_within(10.0)
        assert terminal.status == 0
        assert terminal.settings() == terminal.before


def test_a_planner_that_dies_is_one_line_and_the_screen_survives() -> None:
    with Terminal(("-m", "tests.tui.stuck_screen", "dies"), SIZE) as terminal:
        terminal.read_until(b"the planning process ended (SIGKILL)")
        terminal.send(b"q")
        assert terminal.wait() == 0
