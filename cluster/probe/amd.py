"""One node with AMD GPUs, read from /sys: no library is loaded, and ROCm need not be installed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import ValidationError

from cluster.detail import NodeDetail
from cluster.gpu_facts import NodeFacts
from cluster.inventory import Gpu, Node
from cluster.probe.amd_cards import AmdCard, find_cards, product_name
from cluster.probe.amd_figures import Sensors, read_card, read_detail, read_facts, read_memory, read_processes
from cluster.probe.amd_visible import with_hidden
from cluster.probe.islands import islands_of
from cluster.probe.query import AMDGPU_FILES, Mark
from cluster.probe.sysfiles import numa_node, read_text
from cluster.telemetry import GpuReading, NodeReading

NO_AMD_GPUS = "amdgpu shows no GPU"


def has_amd_gpus(root: Path = Path("/")) -> bool:
    """Whether the amdgpu driver shows a GPU here."""
    return bool(find_cards(root))


class AmdReader:
    """Reads this machine's AMD GPUs again and again. `root` is where /sys, /proc and /usr lie."""

    def __init__(
        self,
        node_id: str,
        name: str,
        *,
        mark: Mark | None = None,
        skipped: dict[int, str] | None = None,
        root: Path = Path("/"),
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._env = os.environ if env is None else env
        self._node_id, self._name, self._root = node_id, name, root
        self._mark: Mark = mark or (lambda gpu_index, function: None)
        self._skipped = skipped or {}
        self._cards: tuple[AmdCard, ...] = ()
        self._sensors: dict[int, Sensors] = {}
        self._known: dict[int, Gpu] = {}

    def read_inventory(self) -> Node:
        """Look at what is there: identities, memory, links. A GPU that left the bus stays, with why."""
        self._mark(None, AMDGPU_FILES)
        cards = find_cards(self._root)
        if {card.bus_id for card in cards} >= {card.bus_id for card in self._cards}:
            self._cards = cards
        islands = islands_of((card.index for card in self._cards), _joined(self._cards))
        for card in self._cards:
            self._known[card.index] = self._gpu(card, islands.get(card.index))
        gpus = with_hidden(tuple(self._known.values()), self._env)
        version = read_text(self._root / "sys/module/amdgpu/version")
        absent = {"cuda_version": "AMD GPUs run no CUDA", "paths": "not worked out for AMD GPUs"}
        if version.value is None:
            absent["driver_version"] = "the amdgpu driver is the kernel's own, which has no version"
        facts = NodeFacts(driver_version=version.value, absent=absent)
        error = None if gpus else NO_AMD_GPUS
        return Node(node_id=self._node_id, name=self._name, gpus=gpus, error=error, facts=facts)

    def _gpu(self, card: AmdCard, island: str | None) -> Gpu:
        known = self._known.get(card.index)
        if card.index in self._skipped:
            return self._unread(card, known, self._skipped[card.index])
        self._mark(card.index, AMDGPU_FILES)
        if not card.device.exists():
            return self._unread(card, known, "the GPU is no longer on the PCI bus; see the kernel log")
        self._sensors[card.index] = Sensors.of(card)
        try:
            return self._describe(card, island)
        except ValidationError as error:
            field = ".".join(str(part) for part in error.errors(include_url=False)[0]["loc"]) or "description"
            return self._unread(card, known, f"the driver reports an impossible {field}")

    def _describe(self, card: AmdCard, island: str | None) -> Gpu:
        memory = read_memory(card, self._root)
        major, minor = card.gfx_version // 10_000, card.gfx_version // 100 % 100
        return Gpu(
            index=card.index,
            uuid=self._uuid(card),
            type=product_name(card, self._root),
            vendor="amd",
            memory_total_bytes=memory.total.value,
            memory_free_bytes=memory.free.value,
            unified_memory=memory.unified,
            compute_capability=(major, minor) if card.gfx_version else None,
            nvlink_island=island,
            pci_bus_id=card.bus_id,
            numa_node=numa_node(card.device),
            excluded_reason=_partitioned(card),
            facts=read_facts(card, self._sensors[card.index]),
            processes=read_processes(card, self._root),
        )

    def _unread(self, card: AmdCard, known: Gpu | None, reason: str) -> Gpu:
        if known is not None:
            away = {"memory_free_bytes": None, "processes": (), "unhealthy_reason": reason}
            return known.model_copy(update=away)
        return Gpu(
            index=card.index,
            uuid=self._uuid(card),
            type=product_name(card, self._root),
            vendor="amd",
            memory_total_bytes=None,
            pci_bus_id=card.bus_id,
            unhealthy_reason=reason,
        )

    def _uuid(self, card: AmdCard) -> str:
        """Return ROCm's own name of it, 'GPU-' and sixteen digits; older GPUs have none."""
        return f"GPU-{card.unique_id:016x}" if card.unique_id else f"{self._node_id}/{card.bus_id}"

    def read_now(self) -> NodeReading:
        """Look at what the GPUs of the last inventory are doing: some twenty files a GPU."""
        gpus = tuple(self._reading(card) for card in self._cards)
        at_s = time.time()
        if not gpus:
            return NodeReading(node_id=self._node_id, taken_at_s=at_s, state="no_gpus", reason=NO_AMD_GPUS)
        return NodeReading(node_id=self._node_id, taken_at_s=at_s, gpus=gpus)

    def _reading(self, card: AmdCard) -> GpuReading:
        sensors = self._sensors.get(card.index)
        if card.index in self._skipped or sensors is None:
            reason = self._skipped.get(card.index, "it was not there when the driver was first asked")
            return GpuReading(uuid=self._uuid(card), error=reason)
        self._mark(card.index, AMDGPU_FILES)
        return read_card(card, self._uuid(card), sensors, self._root)

    def detail_steps(self) -> Iterator[NodeDetail | None]:
        """Read the slow figures of the GPUs of the last inventory, one GPU a step; the last returns all."""
        bus_ids, gpus = {card.index: card.bus_id for card in self._cards}, []
        for card in self._cards:
            if card.index not in self._skipped:
                self._mark(card.index, AMDGPU_FILES)
                gpus.append(read_detail(card, self._uuid(card), bus_ids))
                yield None
        yield NodeDetail(node_id=self._node_id, taken_at_s=time.time(), gpus=tuple(gpus))

    def close(self) -> None:
        """Nothing is held open."""


def _joined(cards: tuple[AmdCard, ...]) -> set[tuple[int, int]]:
    ends = ((card.index, link.peer) for card in cards for link in card.links)
    return {(min(pair), max(pair)) for pair in ends}


def _partitioned(card: AmdCard) -> str | None:
    if card.num_partitions == 1:
        return None
    mode = read_text(card.device / "current_compute_partition").value or f"{card.num_partitions} parts"
    return f"it is partitioned ({mode}); clusterview plans on whole AMD GPUs"
