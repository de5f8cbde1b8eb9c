"""Health over time: what flickers is no finding, and a finding does not end at the first good reading."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import is_not

from cluster.detail import NodeDetail
from cluster.gpu_health import Slowdown
from cluster.health.judge import fast_signs, seen_now, slow_signs, with_signs
from cluster.health.sign import Sign
from cluster.health.thresholds import FindingRule, Thresholds, thresholds
from cluster.inventory import Gpu, Node
from cluster.telemetry import NodeReading


@dataclass(slots=True)
class _Seen:
    """A sign that is watched. Times are the caller's clock."""

    sign: Sign
    first_s: float
    last_s: float
    shown_at_s: float
    counts: bool = False


@dataclass(slots=True)
class _GpuMemory:
    signs: dict[str, _Seen] = field(default_factory=dict)
    read: Gpu | None = None
    shown: tuple[Sign, ...] = ()
    judged: Gpu | None = None


@dataclass(slots=True)
class _NodeMemory:
    gpus: dict[str, _GpuMemory] = field(default_factory=dict)
    read: Node | None = None
    judged: Node | None = None
    detail: NodeDetail | None = None
    slow: list[list[Sign]] | None = None
    """Signs of these slow figures on that node."""


class HealthWatch:
    """Judges nodes again and again. Its memory is bounded: `keep` forgets nodes that are gone."""

    def __init__(self, limits: Thresholds | None = None) -> None:
        self._limits = limits or thresholds()
        self._nodes: dict[str, _NodeMemory] = {}

    def judge(self, node: Node, reading: NodeReading | None, detail: NodeDetail | None, now_s: float) -> Node:
        """Return the node with the health of each GPU; pass it as it was read. `now_s` must never go back.

        An unchanged node with an unchanged verdict is the same object as before.
        """
        if not node.gpus:
            return node
        memory = self._nodes.setdefault(node.node_id, _NodeMemory())
        slow = self._slow_signs(memory, node, detail)
        known, memory.gpus = memory.gpus, {}
        gpus = []
        for seen, lasting in zip(seen_now(node, reading, detail), slow, strict=True):
            gpu = seen.gpu
            own = memory.gpus[gpu.uuid] = known.get(gpu.uuid) or _GpuMemory()
            signs = fast_signs(seen, self._limits) + lasting
            gpus.append(self._judged(own, gpu, self._settled(own, signs, now_s)))
        same = memory.read is node and memory.judged is not None
        if not same or any(map(is_not, gpus, memory.judged.gpus if memory.judged else ())):
            memory.judged = node.model_copy(update={"gpus": tuple(gpus)})
        memory.read, memory.detail = node, detail
        return memory.judged or node

    def _slow_signs(self, memory: _NodeMemory, node: Node, detail: NodeDetail | None) -> list[list[Sign]]:
        if memory.slow is None or memory.read is not node or memory.detail is not detail:
            memory.slow = slow_signs(node, detail, self._limits)
        return memory.slow

    def keep(self, node_ids: Iterable[str]) -> None:
        """Forget all nodes but these."""
        there = set(node_ids)
        self._nodes = {node_id: known for node_id, known in self._nodes.items() if node_id in there}

    def _judged(self, memory: _GpuMemory, gpu: Gpu, signs: tuple[Sign, ...]) -> Gpu:
        same = memory.read is gpu or memory.read == gpu
        if memory.judged is None or not same or signs != memory.shown:
            memory.read, memory.shown, memory.judged = gpu, signs, with_signs(gpu, signs, self._limits)
        return memory.judged

    def _settled(self, memory: _GpuMemory, signs: list[Sign], now_s: float) -> tuple[Sign, ...]:
        """Return the signs that count now, after taking in those that are seen now."""
        if not signs and not memory.signs:
            return ()
        for sign in {sign.code: sign for sign in reversed(signs)}.values():  # the first of each code
            self._take(memory, sign, now_s)
        counting = []
        for code, seen in list(memory.signs.items()):
            rule, unseen_s = self._limits.findings[code], now_s - seen.last_s
            if unseen_s and (not seen.counts or unseen_s >= rule.ends_after_s):
                del memory.signs[code]
            elif seen.counts or _has_lasted(seen, rule):
                seen.counts = True
                counting.append(seen.sign)
        return tuple(counting)

    def _take(self, memory: _GpuMemory, sign: Sign, now_s: float) -> None:
        seen = memory.signs.get(sign.code)
        if seen is None:
            memory.signs[sign.code] = _Seen(sign, now_s, now_s, now_s)
            return
        seen.last_s = now_s
        watch = self._limits.watch
        moved = _moved(seen.sign.slowdown, sign.slowdown, watch.refresh_change)
        if moved or now_s - seen.shown_at_s >= watch.refresh_s:
            seen.sign, seen.shown_at_s = sign, now_s


def _has_lasted(seen: _Seen, rule: FindingRule) -> bool:
    return seen.last_s - seen.first_s >= rule.begins_after_s


def _moved(old: Slowdown, new: Slowdown, change: float) -> bool:
    """Return whether some share changed by more than this part of itself."""
    if old is new:
        return False
    pairs = (
        (old.compute, new.compute),
        (old.memory, new.memory),
        (old.nvlink, new.nvlink),
        (old.pcie, new.pcie),
    )
    return any(abs(before - after) > change * max(before, after) for before, after in pairs)
