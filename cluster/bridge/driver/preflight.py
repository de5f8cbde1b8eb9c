"""Preflight: check on each node, in the Python of its ranks, what a deployment needs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import Any

from cluster.deploy.node_check import NodeNeeds, look_at_node
from cluster.deploy.preflight import NodeVerdict, agreed, unanswered, verdict_on

ANSWER_S = 75.0
"""A new process on a busy node takes seconds, importing torch from a cold disk up to a minute."""


def ask_nodes(ray: Any, needs: Sequence[NodeNeeds], deadline_s: float = ANSWER_S) -> tuple[NodeVerdict, ...]:
    """Return a verdict on each node, in order; a node that does not answer in time gets one that says so."""
    refs = [_ask(ray, one) for one in needs]
    until_s = time.monotonic() + deadline_s
    verdicts = [_answer(ray, one, ref, until_s) for one, ref in zip(needs, refs, strict=True)]
    return agreed(verdicts, needs)


def _ask(ray: Any, needs: NodeNeeds) -> Any:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    task = ray.remote(look_at_node).options(
        num_cpus=0,
        num_gpus=0,
        max_retries=0,
        scheduling_strategy=NodeAffinitySchedulingStrategy(needs.node_id, soft=False),
    )
    return task.remote(needs.question)


def _answer(ray: Any, needs: NodeNeeds, ref: Any, until_s: float) -> NodeVerdict:
    try:
        return verdict_on(needs, ray.get(ref, timeout=max(0.0, until_s - time.monotonic())))
    except ray.exceptions.GetTimeoutError:
        with contextlib.suppress(Exception):
            ray.cancel(ref, force=True)
        return unanswered(needs, f"no answer within {ANSWER_S:.0f} s")
    except Exception as error:
        return unanswered(needs, last_line(error))


def last_line(error: Exception) -> str:
    """Return what an error of a task or an actor says, without Ray's traceback."""
    cause = getattr(error, "cause", None) or error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return f"{type(cause).__name__}: {lines[-1]}" if lines else type(cause).__name__
