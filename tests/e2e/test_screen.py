"""With a screen: open, deploy by key, send a prompt, quit, reopen, stop by key; nothing is left."""

from __future__ import annotations

import time

import pytest

from tests.tui.terminal import Terminal

OPEN = ("-m", "tui", "--simulate", "2x2xA100-80GB", "--model", "llama-3.1-8b")

pytestmark = pytest.mark.ray


def close_and_quit(screen: Terminal) -> None:
    """Press escape, then q. Read together they mean alt+q, so retry."""
    for _ in range(10):
        screen.send(b"\x1b")
        time.sleep(0.5)
        screen.send(b"q")
        if screen.ends_within(5):
            return


def test_deploy_prompt_and_stop_by_keys(environment: dict[str, str]) -> None:
    with Terminal(OPEN, size=(140, 45), **environment) as screen:
        screen.read_until(b"SIMULATED", 90)
        screen.read_until(b"throughput (range)", 60)
        screen.send(b"d")
        screen.read_until(b"Deploy (y)")
        screen.send(b"y")
        screen.read_until(b"serves http://127.0.0.1:", 120)
        screen.send(b"p")
        screen.read_until(b"type a prompt")
        screen.send(b"hello\r")
        screen.read_until(b"chunks from R", 60)
        close_and_quit(screen)
        assert screen.wait() == 0
        assert b"is still running at http://127.0.0.1:" in screen.output

    with Terminal(OPEN, size=(80, 24), **environment) as again:
        again.read_until("● R0".encode(), 90)
        again.send(b"x")
        again.read_until(b"Stop (y)")
        again.send(b"y")
        again.read_until(b"its GPUs are free", 60)
        again.send(b"q")
        assert again.wait() == 0
        assert again.settings() == again.before
