"""Report files in clusterview's own folder that clusterview did not write; they are left alone."""

from __future__ import annotations

from cluster.bridge.state.folder import state_path
from cluster.bridge.state.records import foreign_files
from cluster.cli.session_view import say
from cluster.text import clean
from cluster.units import count_of

_NAMED = 5


def describe_foreign() -> str:
    """Return one line about such files, or '' when there are none."""
    files = foreign_files()
    if not files:
        return ""
    names = ", ".join(clean(path.name, 60) for path in files[:_NAMED])
    more = f" and {len(files) - _NAMED} more" if len(files) > _NAMED else ""
    count = count_of(len(files), "file")
    return f"{count} in {state_path()} not written by clusterview, left alone: {names}{more}"


def name_foreign_files() -> None:
    """Report on stderr which files are left alone."""
    if words := describe_foreign():
        say(words)
