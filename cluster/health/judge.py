"""Judge a node's GPUs by what was last read of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce

from cluster.detail import GpuDetail, NodeDetail
from cluster.gpu_facts import GpuFacts
from cluster.gpu_health import Finding, Health
from cluster.health.clocks import busy_signs, clock_signs, heat_signs, power_signs
from cluster.health.errors import driver_signs, memory_signs, reported_signs
from cluster.health.links import expected_nvlinks, nvlink_signs, pcie_signs
from cluster.health.sign import FULL, GpuSeen, Sign, SlowSeen, both
from cluster.health.thresholds import Thresholds, thresholds
from cluster.inventory import Gpu, Node
from cluster.telemetry import GpuReading, NodeReading

HEALTHY = Health()
_CURRENT = frozenset({"ok", "stale"})
"""States of a node in which its last reading still says how its GPUs are."""
_OWN_REASONS = frozenset({"ecc_uncorrectable", "all_nvlinks_down", "recovery_action", "xid_fatal"})
"""Findings that only a judge makes: their text in `unhealthy_reason` is a former judgement."""
_FAST_CHECKS = (reported_signs, clock_signs, power_signs, heat_signs, pcie_signs, busy_signs)
_SLOW_CHECKS = (memory_signs, driver_signs, nvlink_signs)


def with_health(node: Node, reading: NodeReading | None, detail: NodeDetail | None) -> Node:
    """Return the node with the health of each GPU; one that is unhealthy also gets its `unhealthy_reason`.

    A single look, without memory: what it sees counts at once (HealthWatch waits, and is steadier). Pass the
    node as it was read; of a node that was judged before, the former verdict is dropped.
    """
    if not node.gpus:
        return node
    limits = thresholds()
    seen = signs_of(node, reading, detail, limits)
    gpus = tuple(with_signs(one.gpu, signs, limits) for one, signs in seen)
    return node.model_copy(update={"gpus": gpus})


def signs_of(
    node: Node, reading: NodeReading | None, detail: NodeDetail | None, limits: Thresholds
) -> list[tuple[GpuSeen, list[Sign]]]:
    """Return each GPU, as it was read, with all signs that it shows."""
    slow = slow_signs(node, detail, limits)
    seen = seen_now(node, reading, detail)
    return [(one, [*fast_signs(one, limits), *own]) for one, own in zip(seen, slow, strict=True)]


def fast_signs(seen: GpuSeen, limits: Thresholds) -> list[Sign]:
    """Return the signs that depend on the reading of this second."""
    return [sign for check in _FAST_CHECKS for sign in check(seen, limits)]


def slow_signs(node: Node, detail: NodeDetail | None, limits: Thresholds) -> list[list[Sign]]:
    """Return each GPU's signs that depend on slow figures alone: the same until there are new ones."""
    if detail is None:
        return [[] for _ in node.gpus]
    details = {one.uuid: one for one in detail.gpus}
    expected = _expected(node.gpus, details)
    found = []
    for gpu in node.gpus:
        own = details.get(gpu.uuid) or GpuDetail(uuid=gpu.uuid)
        seen = SlowSeen(own, detail.taken_at_s, *expected.get(gpu.type, (None, False)))
        found.append([sign for check in _SLOW_CHECKS for sign in check(seen, limits)])
    return found


def with_signs(gpu: Gpu, signs: Sequence[Sign], limits: Thresholds) -> Gpu:
    """Return the GPU with the verdict that these signs make."""
    if not signs:
        return gpu if gpu.health is HEALTHY else gpu.model_copy(update={"health": HEALTHY})
    health = verdict(signs, limits)
    first = health.findings[0]
    reason = first.text if first.state == "unhealthy" else gpu.unhealthy_reason
    return gpu.model_copy(update={"health": health, "unhealthy_reason": reason})


def verdict(signs: Iterable[Sign], limits: Thresholds) -> Health:
    """Return the state, one finding per code with the worst first, and what is left of the rates."""
    by_code: dict[str, Sign] = {}
    for sign in signs:
        by_code.setdefault(sign.code, sign)
    codes = sorted(by_code, key=lambda code: (limits.findings[code].state == "degraded", limits.rank(code)))
    findings = tuple(
        Finding(code=code, state=limits.findings[code].state, text=by_code[code].text) for code in codes
    )
    slowdown = reduce(both, (sign.slowdown for sign in by_code.values()), FULL)
    return Health(state=findings[0].state if findings else "healthy", findings=findings, slowdown=slowdown)


def seen_now(node: Node, reading: NodeReading | None, detail: NodeDetail | None) -> list[GpuSeen]:
    """Return each GPU as it was read, with its latest figures; those of a silent node's reading are old."""
    current = reading if reading is not None and reading.state in _CURRENT else None
    readings = {one.uuid: one for one in current.gpus} if current else {}
    details = {one.uuid: one for one in detail.gpus} if detail else {}
    found = []
    for gpu in node.gpus:
        uuid = gpu.uuid
        found.append(
            GpuSeen(
                _as_read(gpu),
                readings.get(uuid) or GpuReading(uuid=uuid),
                details.get(uuid) or GpuDetail(uuid=uuid),
                gpu.facts or _NO_FACTS,
            )
        )
    return found


_NO_FACTS = GpuFacts()


def _expected(gpus: Sequence[Gpu], details: Mapping[str, GpuDetail]) -> dict[str, tuple[int | None, bool]]:
    """Map each GPU type of a node to how many NVLinks should be up, and whether switches join them."""
    alike: dict[str, list[tuple[GpuDetail, GpuFacts]]] = {}
    for gpu in gpus:
        detail = details.get(gpu.uuid)
        if detail is not None and detail.links:
            alike.setdefault(gpu.type, []).append((detail, gpu.facts or _NO_FACTS))
    return {kind: expected_nvlinks(like) for kind, like in alike.items()}


def _as_read(gpu: Gpu) -> Gpu:
    """Return the GPU without the verdict of a former judge."""
    if gpu.health is None or gpu.unhealthy_reason is None:
        return gpu
    former = gpu.health.findings[0] if gpu.health.findings else None
    if former is None or former.code not in _OWN_REASONS or former.text != gpu.unhealthy_reason:
        return gpu
    return gpu.model_copy(update={"unhealthy_reason": None})
