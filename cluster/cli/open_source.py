"""Open the session or the recording that the options name."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.cli.resolve import planning_cluster_from, ray_address_from
from cluster.errors import BadInput

if TYPE_CHECKING:
    from cluster.bridge.session import Session
    from cluster.inventory import Cluster
    from cluster.metrics.live_state import LiveState
    from cluster.recording.recording import Recording


def session_from(arguments: argparse.Namespace, engine_pythons: Mapping[str, str] | None = None) -> Session:
    """Return the session, not yet started, that the options name: a saved cluster, a recording, Ray, a
    simulation or this machine.

    `engine_pythons` maps engines to their interpreters on the nodes.
    """
    from cluster.bridge import open_session

    described = planning_cluster_from(arguments)
    if described is not None:
        from cluster.bridge.file_session import FileSession
        from cluster.text import clean

        return FileSession(described, clean(arguments.cluster, 80))
    if arguments.replay:
        from cluster.recording.session import ReplaySession

        recording = recording_from(arguments)
        return ReplaySession(recording, start_at_s=_moment_from(arguments, recording))
    return open_session(
        address=ray_address_from(arguments),
        simulate=arguments.simulate,
        observe=getattr(arguments, "observe", None),
        engine_pythons=engine_pythons,
    )


def recording_from(arguments: argparse.Namespace) -> Recording:
    """Open the file that --replay names; a file that was cut off is said to be, and played up to there."""
    from cluster.cli.session_view import say
    from cluster.json_file import shown
    from cluster.recording.moment import shown_moment
    from cluster.recording.recording import open_recording

    path = Path(arguments.replay).expanduser()
    recording = open_recording(path)
    if recording.cut_off:
        last = shown_moment(recording.last_at_s)
        say(f"{shown(path)} is {recording.cut_off} after {last}; it plays up to there")
    return recording


def _moment_from(arguments: argparse.Namespace, recording: Recording) -> float | None:
    from cluster.recording.moment import moment_of

    return None if arguments.at is None else moment_of(arguments.at, recording)


def saved_state(arguments: argparse.Namespace) -> LiveState | None:
    """Return the state that a file holds: a recording's at --at or at its end, else a --cluster without
    readings. None for a cluster that is running. BadInput where a recording is damaged there.
    """
    described = planning_cluster_from(arguments)
    if described is not None:
        from cluster.metrics.live_state import LiveState
        from cluster.text import clean

        return LiveState(described, described.taken_at_s or time.time(), clean(arguments.cluster, 80))
    if not arguments.replay:
        return None
    from cluster.recording.at import live_state_at

    recording = recording_from(arguments)
    at_s = _moment_from(arguments, recording)
    return live_state_at(recording, recording.last_at_s if at_s is None else at_s)


def recorded_cluster(arguments: argparse.Namespace) -> Cluster | None:
    """Return the cluster of a recording at --at, or at its end, for planning; None without --replay."""
    if not arguments.replay:
        return None
    from cluster.recording.at import cluster_for_planning

    state = saved_state(arguments)
    return None if state is None else cluster_for_planning(state)


def refuse_saved(arguments: argparse.Namespace, what: str) -> None:
    """Raise BadInput for --cluster: `what` needs a cluster that is running."""
    if arguments.cluster:
        raise BadInput(f"{what} a cluster from a file or a spec", "Leave out --cluster")


def check_replay_options(arguments: argparse.Namespace) -> None:
    """Raise BadInput for options that only mean something beside another."""
    if arguments.at is not None and not arguments.replay:
        raise BadInput("--at names a moment of a recording", "Add --replay FILE")
    if arguments.watch is not None and not arguments.once:
        raise BadInput("--watch repeats --once", "Add --once")
    if arguments.once and arguments.dry_run:
        raise BadInput("--once and --dry-run cannot be combined", "--once prints what is, --dry-run a plan")
    if arguments.watch is not None and (arguments.replay or arguments.cluster):
        raise BadInput("--watch looks again at what is running; a file does not change", "Leave out --watch")
