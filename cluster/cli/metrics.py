"""`clusterview metrics`: Prometheus text of a cluster, once or served on a port."""

from __future__ import annotations

import argparse
import signal
import sys
import threading

from cluster.cli.live_view import LiveView
from cluster.cli.open_source import refuse_saved, session_from
from cluster.cli.session_view import say
from cluster.deploy.api_keys import API_KEY_VARIABLE, hashed_keys
from cluster.deploy.listen_address import is_loopback, shown_host
from cluster.errors import BadInput
from cluster.packages import require

LOOPBACK = "127.0.0.1"


def run(arguments: argparse.Namespace) -> int:
    """Print the metrics of now, or serve them until Ctrl-C, SIGTERM or the loss of the cluster."""
    refuse_saved(arguments, "nothing is measured on")
    require("prometheus_client")
    if arguments.port is None:
        _refuse_server_options(arguments)
        return _print_once(arguments)
    require("starlette")
    require("uvicorn")
    return _serve(arguments)


def _refuse_server_options(arguments: argparse.Namespace) -> None:
    for option in ("host", "api_key", "api_key_file", "allowed_host"):
        if getattr(arguments, option) is not None:
            raise BadInput(f"--{option.replace('_', '-')} is for serving metrics", "Add --port N")


def _print_once(arguments: argparse.Namespace) -> int:
    from cluster.metrics.text import metrics_text

    with LiveView(session_from(arguments), shows_progress=sys.stderr.isatty()) as view:
        sys.stdout.write(metrics_text(view.settled()).decode())
    return 0


def _serve(arguments: argparse.Namespace) -> int:
    from cluster.deploy.router.access import AccessRules
    from cluster.metrics.server import MetricsServer, listen, make_app
    from cluster.metrics.text import metrics_text

    host = arguments.host or LOOPBACK
    keys = hashed_keys(arguments.api_key or (), arguments.api_key_file)
    if not keys and not is_loopback(host):
        raise BadInput(
            f"--host {host} lets other machines read the metrics, which needs an API key",
            f"Set {API_KEY_VARIABLE} or --api-key-file FILE, or leave out --host",
        )
    rules = AccessRules(keys, tuple(arguments.allowed_host or ()), not is_loopback(host))
    session = session_from(arguments)
    listener = listen(host, arguments.port)
    _leave_on_sigterm()
    with listener, LiveView(session, shows_progress=sys.stderr.isatty()) as view:
        url = f"http://{shown_host(host, LOOPBACK)}:{listener.getsockname()[1]}/metrics"
        say(f"metrics of {session.title} on {url}")
        server = MetricsServer(make_app(lambda: metrics_text(view.now()), rules), lambda: view.is_lost)
        server.run(sockets=[listener])
        # Raises where the cluster was lost.
        view.wait(lambda: not view.is_lost, 0.0)
    return 0


def _leave_on_sigterm() -> None:
    """Make SIGTERM end the program as Ctrl-C does, so that the session is closed."""

    def leave(*_: object) -> None:
        raise SystemExit(0)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, leave)
