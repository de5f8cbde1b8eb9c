"""The program on a real pty: what it writes, how it ends, what it leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.tui.terminal import ESCAPES, Terminal

PLAN_ONLY = ("-m", "tui", "--cluster", "2x4xA100-80GB", "--model", "llama-3.1-8b")
ALTERNATE_OFF = b"\x1b[?1049l"


@pytest.mark.parametrize("key", [b"q", b"\x03", b"\x11"])
def test_leaves_by_key_and_restores_the_terminal(key: bytes) -> None:
    with Terminal(PLAN_ONLY) as terminal:
        terminal.read_until("○ R7".encode())
        terminal.send(key)
        assert terminal.wait() == 0
        assert terminal.output.rstrip().endswith(ALTERNATE_OFF) or ALTERNATE_OFF in terminal.output[-400:]
        assert b"\x1b[?25h" in terminal.output[-400:]
        assert terminal.settings() == terminal.before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_leaves_on_signals_and_restores_the_terminal(number: signal.Signals) -> None:
    with Terminal(PLAN_ONLY) as terminal:
        terminal.read_until("○ R7".encode())
        os.kill(terminal.pid, number)
        assert terminal.wait() == 0
        assert ALTERNATE_OFF in terminal.output[-400:]
        assert terminal.settings() == terminal.before


def test_control_c_while_starting_leaves_the_terminal_sane() -> None:
    with Terminal(PLAN_ONLY) as terminal:
        # While the interpreter itself starts there is nobody to catch it.
        time.sleep(0.3)
        terminal.send(b"\x03")
        status = terminal.wait()
        assert status in (0, 2, 130, -signal.SIGINT)
        assert b"Traceback" not in terminal.output
        assert terminal.settings() == terminal.before


def test_no_payload_byte_reaches_the_terminal() -> None:
    with Terminal(("-m", "tests.tui.hostile_screen"), size=(120, 40)) as terminal:
        terminal.read_until(b"node-1")
        for key in (b"\t", b"x", b"\x1b", b"\t", b"d", b"n", b"c", b"\x1b", b"\r", b"\x1b", b"p", b"\x1b"):
            terminal.send(key)
            terminal._read(0.4)
        terminal.send(b"\x03")
        assert terminal.wait() == 0
    text = ESCAPES.sub(b"", terminal.output)
    assert b"OWNED" in text, "the payload was shown, as text"
    assert b"\x1b]2;OWNED" not in terminal.output
    assert b"\x1b[8m" not in terminal.output
    assert not set(text) & (set(range(32)) - set(b"\r\n\t\x1b\x0f\x0e"))
    shown = text.decode("utf-8")
    assert not any("\x7f" <= char <= "\x9f" or char == "\u202e" for char in shown)


def test_ascii_terminal_gets_nothing_but_ascii() -> None:
    with Terminal((*PLAN_ONLY,), TERM="vt100") as terminal:
        terminal.read_until(b"o R7")
        terminal.send(b"q")
        assert terminal.wait() == 0
    assert ESCAPES.sub(b"", terminal.output).isascii()


def test_bad_input_is_one_line_before_the_screen_opens() -> None:
    with Terminal(("-m", "tui", "--cluster", "2xx4")) as terminal:
        assert terminal.wait() == 2
    assert b"Traceback" not in terminal.output
    assert ALTERNATE_OFF not in terminal.output
    assert len(terminal.output.strip().splitlines()) == 1


def test_without_a_terminal_the_plan_is_printed() -> None:
    done = subprocess.run(
        [sys.executable, *PLAN_ONLY], capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0
    assert "Not a terminal" in done.stderr
    assert "DP=8" in done.stdout
    assert "\x1b" not in done.stdout
