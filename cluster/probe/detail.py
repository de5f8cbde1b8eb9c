"""The slow figures of a GPU: what takes long to ask, or changes rarely."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.detail import EccCounts, GpuDetail
from cluster.probe.fabric import read_fabric
from cluster.probe.figures import Figure, Figures, read_fields
from cluster.probe.links import LinkReader
from cluster.probe.nvml import Device
from cluster.probe.query import Answer, GpuGone, NvmlQuery
from cluster.probe.xid import XidWatch

_KIB = 1024
_SENT, _RECEIVED = 0, 1
_CORRECTED, _UNCORRECTED = 0, 1
_VOLATILE, _AGGREGATE = 0, 1
_RETIREMENT_CAUSES = (0, 1)
_RECOVERY_ACTION_FIELD = 230
# Drivers disagree on 5: newer ones mean the IMEX domain, older ones a reset over the bus.
_RECOVERY_ACTIONS = {
    0: "none",
    1: "GPU reset",
    2: "node reboot",
    3: "drain P2P",
    4: "drain and reset",
    5: "recover the IMEX domain or reset the GPU over its bus",
    6: "bus reset",
    7: "node reboot",
}


def _rate(kib_per_s: int) -> float:
    return float(kib_per_s) * _KIB


_PCIE = (
    Figure("pcie_generation", "nvmlDeviceGetCurrPcieLinkGeneration", convert=int),
    Figure("pcie_width", "nvmlDeviceGetCurrPcieLinkWidth", convert=int),
    Figure("pcie_replays", "nvmlDeviceGetPcieReplayCounter", convert=int),
    # Each of these two measures for some 20 ms.
    Figure("pcie_received_bytes_per_s", "nvmlDeviceGetPcieThroughput", (_RECEIVED,), _rate),
    Figure("pcie_sent_bytes_per_s", "nvmlDeviceGetPcieThroughput", (_SENT,), _rate),
    Figure("retirement_pending", "nvmlDeviceGetRetiredPagesPendingStatus", convert=bool),
)
_ECC = tuple(
    Figure(f"{period}_{kind}", "nvmlDeviceGetTotalEccErrors", (kind_code, period_code), int)
    for period, period_code in (("volatile", _VOLATILE), ("aggregate", _AGGREGATE))
    for kind, kind_code in (("corrected", _CORRECTED), ("uncorrected", _UNCORRECTED))
)
_ROWS = (
    ("remapped_corrected", int),
    ("remapped_uncorrected", int),
    ("remap_pending", bool),
    ("remap_failed", bool),
)
_WITHOUT_REASON = {"uuid", "absent"}


class DetailReader:
    """Reads slow figures, and keeps what does not change and what happened."""

    def __init__(self) -> None:
        self._links = LinkReader()
        self._xids = XidWatch()
        self._query: NvmlQuery | None = None

    def begin(self, query: NvmlQuery, devices: Sequence[Device]) -> None:
        """Begin a round over these devices: take in the Xids that came since the last one."""
        if query is not self._query:
            self._query = query
            self._links.forget()
        self._xids.look(query, list({device.chip.index: device.chip for device in devices}.values()))

    def read(self, query: NvmlQuery, device: Device, uuid: str) -> GpuDetail:
        """Read one GPU's slow figures; a MIG slice has those of its GPU. Raises NvmlGone."""
        if device.error:
            return _gone(uuid, device.error)
        try:
            return self._read(query, device.chip, uuid)
        except GpuGone as gone:
            return _gone(uuid, str(gone))

    def _read(self, query: NvmlQuery, chip: Device, uuid: str) -> GpuDetail:
        figures, ecc = Figures(), Figures()
        figures.ask(query, chip, _PCIE)
        ecc.ask(query, chip, _ECC)
        figures.absent |= {f"ecc.{field}": reason for field, reason in ecc.absent.items()}
        _ask_memory(query, chip, figures)
        _ask_fabric(query, chip, figures)
        (action,) = read_fields(query, chip, [_RECOVERY_ACTION_FIELD])
        figures.put("recovery_action", action, lambda code: _RECOVERY_ACTIONS.get(code, f"action {code}"))
        links, no_links = self._links.read(query, chip)
        xids, no_xids = self._xids.of(chip)
        figures.absent |= {f: reason for f, reason in {"links": no_links, "xids": no_xids}.items() if reason}
        return GpuDetail(
            uuid=uuid,
            links=links,
            xids=xids,
            ecc=EccCounts(**ecc.values),
            absent=figures.absent,
            **figures.values,
        )


def _gone(uuid: str, reason: str) -> GpuDetail:
    return GpuDetail(uuid=uuid, absent=dict.fromkeys(GpuDetail.model_fields.keys() - _WITHOUT_REASON, reason))


def _ask_memory(query: NvmlQuery, chip: Device, figures: Figures) -> None:
    rows = query.ask(chip.index, "nvmlDeviceGetRemappedRows", chip.handle)
    for number, (field, convert) in enumerate(_ROWS):
        figures.put(field, Answer(rows.value and rows.value[number], rows.reason), convert)
    retired = [query.ask(chip.index, "nvmlDeviceGetRetiredPages", chip.handle, c) for c in _RETIREMENT_CAUSES]
    known = [answer.value for answer in retired if answer.value is not None]
    num_pages = sum(len(addresses) for addresses in known) if known else None
    figures.put("retired_pages", Answer(num_pages, retired[0].reason), int)
    bar1 = query.ask(chip.index, "nvmlDeviceGetBAR1MemoryInfo", chip.handle)
    figures.put("bar1_used_bytes", bar1, lambda info: int(info.bar1Used))
    figures.put("bar1_total_bytes", bar1, lambda info: int(info.bar1Total))


def _ask_fabric(query: NvmlQuery, chip: Device, figures: Figures) -> None:
    fabric, reason = read_fabric(query, chip)
    figures.put("fabric_state", Answer(fabric and fabric.state, reason), str)
    figures.put("fabric_problems", Answer(fabric and fabric.problems, reason), tuple)
