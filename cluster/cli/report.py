"""`clusterview report`: a deployment's measurements as a row of evidence, for others to learn from."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from cluster.bridge.state.measurements import last_load
from cluster.cli.find_deployment import found_deployment
from cluster.cli.report_row import has_measurements, report_row
from cluster.cli.session_view import say
from cluster.errors import BadInput, Unreachable
from cluster.whole_file import write_whole

_ANSWER_S = 15.0


def run(arguments: argparse.Namespace) -> int:
    """Write one line of JSON to --output, or to stdout (also named '-')."""
    with found_deployment(arguments) as (view, status):
        if not has_measurements(status):
            raise BadInput(
                f"nothing was measured of {status.name} yet: it is {status.state}", "Wait until it is ready"
            )
        try:
            spec = view.session.describe(status.name).result(_ANSWER_S)
        except TimeoutError:
            raise Unreachable(f"no response within {_ANSWER_S:.0f} s") from None
        load = last_load(view.session.title, status.name)
        today = time.strftime("%Y-%m-%d", time.gmtime())
        row = report_row(spec, status, view.settled_cluster(), load, today)
    text = json.dumps(row, allow_nan=False) + "\n"
    if arguments.output in (None, "-"):
        sys.stdout.write(text)
        return 0
    path = Path(arguments.output).expanduser()
    write_whole(path, text)
    say(f"wrote the measurements of {status.name} to {path}: no host names and no paths are in it")
    _say_what_does_not_count(row)
    return 0


def _say_what_does_not_count(row: dict[str, object]) -> None:
    """Say what keeps the row, or a part of it, from being scored as evidence."""
    if row.get("simulated"):
        say("note: it is marked SIMULATED, and is not scored as evidence")
    elif row.get("dummy_weights"):
        say("note: it is marked DUMMY WEIGHTS, and is not scored as evidence")
    elif "output_tok_s" not in row:
        say("note: it has no load test, so only memory is scored; run clusterview load first")
