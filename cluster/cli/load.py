"""`clusterview load`: send a stated mix of requests, and show what was measured beside the prediction."""

from __future__ import annotations

import argparse
import asyncio
import json

from cluster.cli.load_lines import result_lines
from cluster.cli.load_options import mix_from
from cluster.cli.load_target import LoadTarget, load_target
from cluster.cli.session_view import say
from cluster.deploy.api_keys import given_keys
from cluster.errors import DeployFailed, SystemFailed
from cluster.load.result import LoadResult
from cluster.packages import require

_INTERRUPTED = 130


def run(arguments: argparse.Namespace) -> int:
    """Run the test and print its result; 0 when any request was answered, 130 after Ctrl-C.

    Raises DeployFailed with the most frequent reason where every request failed.
    """
    from cluster.bridge.limits import allow_open_files

    mix, keys = mix_from(arguments), given_keys(arguments.api_key or (), arguments.api_key_file)
    require("aiohttp")
    target = load_target(arguments)
    allow_open_files()
    from cluster.cli.load_run import Order, measure

    order = Order(mix, target, arguments.model, keys[0] if keys else None, arguments.metric_percentiles)
    result = asyncio.run(measure(order))
    if result.requests_failed and not result.requests_done:
        raise _all_failed(result)
    _keep(result, target)
    _print(result, arguments)
    return _INTERRUPTED if result.interrupted else 0


def _keep(result: LoadResult, target: LoadTarget) -> None:
    """Keep a deployment's result for `report`; where the disk refuses it, it is still printed."""
    from cluster.bridge.state.measurements import keep_load

    if target.status is None or not result.requests_done:
        return
    try:
        keep_load(result)
    except SystemFailed as error:
        say(f"this result is not kept for `clusterview report`: {error.one_line()}")


def _print(result: LoadResult, arguments: argparse.Namespace) -> None:
    if arguments.json:
        errors = {name: result.error_of(name) for name in ("throughput", "ttft", "tpot", "e2e")}
        print(
            json.dumps(
                {"schema_version": 1, **result.model_dump(mode="json"), "prediction_error": errors}, indent=2
            )
        )
        return
    for line in result_lines(result, arguments.percentile_metrics, arguments.metric_percentiles):
        print(line)


def _all_failed(result: LoadResult) -> DeployFailed:
    reason, count = max(result.failures.items(), key=lambda item: item[1])
    share = "each" if count == result.requests_failed else f"{count:,} of them"
    return DeployFailed(f"all {result.requests_failed:,} requests to {result.name} failed, {share}: {reason}")
