"""`clusterview record FILE`: write what happens on a cluster into a file that --replay plays."""

from __future__ import annotations

import argparse
import signal
import threading
import time
from pathlib import Path

from cluster.bridge.protocol import lost_error
from cluster.bridge.session import Session
from cluster.cli.open_source import refuse_saved, session_from
from cluster.cli.session_view import LOOK_S, say
from cluster.errors import Unreachable
from cluster.json_file import shown
from cluster.recording.moment import shown_span
from cluster.recording.recorder import Recorder
from cluster.recording.writer import RecordingWriter
from cluster.units import count_of, format_bytes

_CLOSE_S = 5.0


def run(arguments: argparse.Namespace) -> int:
    """Record until Ctrl-C, SIGTERM, --duration or the end of the cluster. Returns 0.

    Raises what ended it otherwise; what was recorded until then can be played.
    """
    refuse_saved(arguments, "nothing happens on")
    path = Path(arguments.file).expanduser()
    session = session_from(arguments)
    ended = _end_on_signals()
    with RecordingWriter(path, session.title, may_replace=arguments.force) as writer:
        recorder = Recorder(writer)
        session.start(recorder)
        try:
            _record(recorder, session, arguments.duration, ended)
            recorder.add_news()
        finally:
            _close(session)
    size = f"{count_of(writer.num_frames, 'frame')}, {format_bytes(writer.num_bytes)}"
    if writer.first_at_s is not None:
        say(f"wrote {shown_span(writer.last_at_s - writer.first_at_s)} ({size}) to {shown(path)}")
    if recorder.lost is not None:
        raise lost_error(recorder.lost)
    return 0


def _record(recorder: Recorder, session: Session, duration_s: float | None, ended: threading.Event) -> None:
    give_up_s = time.monotonic() + LOOK_S
    recorder.record(lambda: ended.is_set() or recorder.has_cluster or time.monotonic() > give_up_s)
    if not recorder.has_cluster:
        if recorder.lost is None and not ended.is_set():
            raise Unreachable(f"no inventory of {session.title} within {LOOK_S:.0f} s")
        return
    limit = "Ctrl-C ends it" if duration_s is None else f"for {shown_span(duration_s)}"
    say(f"recording {session.title}; {limit}")
    until_s = None if duration_s is None else time.monotonic() + duration_s
    recorder.record(lambda: ended.is_set() or (until_s is not None and time.monotonic() >= until_s))


def _end_on_signals() -> threading.Event:
    """Make Ctrl-C and SIGTERM end the recording instead of the process."""
    ended = threading.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: ended.set())
    return ended


def _close(session: Session) -> None:
    session.close()
    wait_closed = getattr(session, "wait_closed", None)
    if wait_closed is not None:
        wait_closed(_CLOSE_S)
