"""The processes between a node's agent and an engine's server: no process of the server outlives them.

Killing a server, or the agent, leaves the server's workers running with their GPU memory. So two guards stand
in between, one below the other, and both adopt what is below them:

- The inner guard starts the server and ends it when the agent closes its end of the pipe on stdin, or is
  gone: first in order, then by force, with every process below it, even those that left their session.
- The outer guard waits for the inner one. Should that be killed, or stopped, the outer one ends everything.
  It may be killed itself: Ray kills the children of an actor that it ends, but not their children.

Run by file, as `python -I -S guard.py AGENT_PID PATIENCE_S COMMAND...`; needs the standard library only. Ends
with the server's exit status, 128 + N if signal N ended it, or 127 if it could not be started.
"""

from __future__ import annotations

import contextlib
import functools
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    # An isolated interpreter does not know where this package is.
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from cluster.process_table import adopt_orphans, descendants, end_all, end_with_parent, reap_orphans

CANNOT_START = 127
INNER_ENDS_S = 6.0
"""Seconds that the inner guard gets beyond the server's patience, to end what the server left."""
_LOOK_S = 1.0
_POLL_S = 0.2
_TRACKERS_END_S = 1.0


def main() -> None:
    """Become the outer guard, with the inner one below, which starts the command of the arguments."""
    agent_pid, patience_s, argv = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
    adopt_orphans()
    # A guard that was stopped by a signal must still notice that its agent is gone.
    end_with_parent(agent_pid, signal.SIGCONT)
    outer_pid = os.getpid()
    inner_pid = os.fork()
    if inner_pid == 0:
        end_with_parent(outer_pid, signal.SIGCONT)
        _guard(argv, patience_s)
    status = _await_inner(inner_pid, patience_s)
    end_all(lambda: descendants(outer_pid))
    if os.WIFSIGNALED(status):
        os.kill(outer_pid, os.WTERMSIG(status))
    os._exit(os.waitstatus_to_exitcode(status))


def _await_inner(inner_pid: int, patience_s: float) -> int:
    """Return the inner guard's wait status; it is killed if it does not end in time after the agent."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # Meant for the server, which the inner guard ends in order.
        signal.signal(number, lambda *_: _send(inner_pid, signal.SIGTERM))
    due_s: float | None = None
    while True:
        ended_pid, status = os.waitpid(inner_pid, os.WNOHANG)
        if ended_pid:
            return status
        if due_s is None and 0 in select.select([0], [], [], _POLL_S)[0] and not os.read(0, 64):
            _send(inner_pid, signal.SIGCONT)
            due_s = time.monotonic() + patience_s + INNER_ENDS_S
        elif due_s is not None:
            time.sleep(_POLL_S)
            if time.monotonic() > due_s:
                _send(inner_pid, signal.SIGKILL)


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _guard(argv: list[str], patience_s: float) -> None:
    """Be the inner guard: run the command, end it when told to, and end all that is left of it."""
    adopt_orphans()
    wake_fd = _wake_on_signals()
    try:
        server = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            # Safe here: the guard has one thread.
            preexec_fn=functools.partial(end_with_parent, os.getpid(), signal.SIGTERM),  # noqa: PLW1509
        )
    except OSError as error:
        sys.stderr.write(f"cannot start {argv[0]}: {error.strerror}\n")
        sys.stderr.flush()
        os._exit(CANNOT_START)
    _await_end(server, wake_fd)
    if server.poll() is None:
        _end_in_order(server, patience_s)
    _end_the_rest()
    status = server.wait()
    os._exit(status if status >= 0 else 128 - status)


def _wake_on_signals() -> int:
    """Return a descriptor that becomes readable on SIGTERM and when a child ends."""
    read_fd, write_fd = os.pipe()
    os.set_blocking(read_fd, False)
    os.set_blocking(write_fd, False)
    signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    return read_fd


def _await_end(server: subprocess.Popen[bytes], wake_fd: int) -> None:
    """Wait until the server has ended, or is to be ended."""
    while server.poll() is None:
        ready, _, _ = select.select([0, wake_fd], [], [], _LOOK_S)
        if 0 in ready and not os.read(0, 64):
            return
        if wake_fd in ready and set(os.read(wake_fd, 512)) - {signal.SIGCHLD}:
            return
        reap_orphans([server.pid])


def _end_in_order(server: subprocess.Popen[bytes], patience_s: float) -> None:
    """Ask the server to end, and wait: it then ends its workers itself."""
    server.terminate()
    _send(server.pid, signal.SIGCONT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.wait(patience_s)


def _end_the_rest() -> None:
    """End whatever is left below this process.

    Python's trackers of shared memory go last: they end by themselves once they removed what others left.
    """
    end_all(lambda: [pid for pid in descendants(os.getpid()) if not _is_tracker(pid)])
    until_s = time.monotonic() + _TRACKERS_END_S
    while descendants(os.getpid()) and time.monotonic() < until_s:
        reap_orphans([])
        time.sleep(0.02)
    end_all(lambda: descendants(os.getpid()))


def _is_tracker(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return b"multiprocessing.resource_tracker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


if __name__ == "__main__":
    main()
