"""A cluster's GPUs as Prometheus metric families. A figure that is absent or old has no sample."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from prometheus_client.core import Metric

from cluster.metrics.figures import FIGURES, THROTTLE_BITS, Figure
from cluster.metrics.live_state import GpuNow, NodeNow

Labels = dict[str, str]
_MIG_INDEXES = 1000


def gpu_families(nodes: Sequence[NodeNow]) -> Iterator[Metric]:
    """Yield the families of all GPUs, those without a sample left out."""
    gpus = [(gpu, node, gpu_labels(gpu, node)) for node in nodes for gpu in node.gpus]
    for figure in FIGURES:
        yield from _family(figure.metric, figure.text, _samples(figure, gpus), is_counter=figure.is_counter)
    read = [(gpu, labels) for gpu, node, labels in gpus if node.is_fresh and gpu.reading is not None]
    slow = [(gpu, labels) for gpu, node, labels in gpus if node.detail_is_fresh and gpu.detail is not None]
    yield from _throttle_families(read)
    yield from _xid_family(slow)
    yield from _link_families(slow)
    yield from _health_families([(gpu, labels) for gpu, _, labels in gpus])


def gpu_labels(now: GpuNow, node: NodeNow) -> Labels:
    """Return the labels that DCGM's exporter gives a GPU; a MIG slice has its GPU's index."""
    gpu, facts = now.gpu, node.node.facts
    is_slice = gpu.mig_parent_uuid is not None
    index = gpu.index // _MIG_INDEXES - 1 if is_slice else gpu.index
    labels = {
        "gpu": str(index),
        "UUID": gpu.uuid,
        "pci_bus_id": gpu.pci_bus_id or "",
        "device": f"{gpu.vendor}{index}",
        "modelName": gpu.type,
        "Hostname": node.node.name,
        "DCGM_FI_DRIVER_VERSION": (facts.driver_version if facts is not None else None) or "",
    }
    if is_slice:
        profile = gpu.facts.mig_profile if gpu.facts is not None else None
        labels |= {"GPU_I_PROFILE": profile or "", "GPU_I_ID": str(gpu.index % _MIG_INDEXES)}
    return labels


def _samples(
    figure: Figure, gpus: Iterable[tuple[GpuNow, NodeNow, Labels]]
) -> Iterator[tuple[Labels, float]]:
    for gpu, node, labels in gpus:
        value = getattr(_lane(figure, gpu, node), figure.name, None)
        if value is not None:
            yield labels, float(value) * figure.scale


def _lane(figure: Figure, gpu: GpuNow, node: NodeNow) -> Any:
    """Return what has the figure; None where that is not of now."""
    if figure.lane == "facts":
        return gpu.gpu.facts
    if figure.lane == "reading":
        return gpu.reading if node.is_fresh else None
    detail = gpu.detail if node.detail_is_fresh else None
    return detail.ecc if detail is not None and figure.lane == "ecc" else detail


def _throttle_families(gpus: Sequence[tuple[GpuNow, Labels]]) -> Iterator[Metric]:
    known = [
        (gpu.reading.throttle_reasons, labels)
        for gpu, labels in gpus
        if gpu.reading is not None and gpu.reading.throttle_reasons is not None
    ]
    masks = ((labels, float(sum(THROTTLE_BITS.get(one, 0) for one in reasons))) for reasons, labels in known)
    text = "Why clocks are below their maximum, as NVML's mask."
    yield from _family("DCGM_FI_DEV_CLOCK_THROTTLE_REASONS", text, masks)
    named = (({**labels, "reason": reason}, 1.0) for reasons, labels in known for reason in reasons)
    yield from _family("clusterview_gpu_throttle_reason", "1 for each reason why clocks are below.", named)


def _xid_family(gpus: Iterable[tuple[GpuNow, Labels]]) -> Iterator[Metric]:
    last = (
        (labels, float(gpu.detail.xids[-1].code if gpu.detail.xids else 0))
        for gpu, labels in gpus
        if gpu.detail is not None and "xids" not in gpu.detail.absent
    )
    yield from _family("DCGM_FI_DEV_XID_ERRORS", "Value of the last XID error since the probe started.", last)


def _link_families(gpus: Sequence[tuple[GpuNow, Labels]]) -> Iterator[Metric]:
    linked = [
        (gpu.detail.links, labels) for gpu, labels in gpus if gpu.detail is not None and gpu.detail.links
    ]
    up = ((labels, float(sum(link.active for link in links))) for links, labels in linked)
    yield from _family("clusterview_gpu_nvlinks_up", "NVLinks that are active.", up)
    all_ = ((labels, float(len(links))) for links, labels in linked)
    yield from _family("clusterview_gpu_nvlinks", "NVLinks that the GPU has.", all_)
    for field, what in (
        ("received_bytes", "Bytes received"),
        ("sent_bytes", "Bytes sent"),
        ("errors", "Errors"),
    ):
        sums = (
            (labels, float(sum(values)))
            for links, labels in linked
            if (values := [value for link in links if (value := getattr(link, field)) is not None])
        )
        text = f"{what} over all NVLinks since the driver was loaded."
        yield from _family(f"clusterview_gpu_nvlink_{field}_total", text, sums, is_counter=True)


def _health_families(gpus: Sequence[tuple[GpuNow, Labels]]) -> Iterator[Metric]:
    usable = ((labels, float(gpu.gpu.usable)) for gpu, labels in gpus)
    yield from _family("clusterview_gpu_usable", "1 where the GPU may be planned on.", usable)
    judged = [(gpu.gpu.health, labels) for gpu, labels in gpus if gpu.gpu.health is not None]
    verdicts = (({**labels, "verdict": health.state}, 1.0) for health, labels in judged)
    yield from _family("clusterview_gpu_health", "1 for the verdict on the GPU.", verdicts)
    findings = (
        ({**labels, "code": finding.code, "state": finding.state}, 1.0)
        for health, labels in judged
        for finding in {one.code: one for one in health.findings}.values()
    )
    yield from _family("clusterview_gpu_finding", "1 for each thing that is wrong with the GPU.", findings)


def _family(
    name: str, text: str, samples: Iterable[tuple[Labels, float]], *, is_counter: bool = False
) -> Iterator[Metric]:
    found = list(samples)
    if found:
        yield family(name, text, found, is_counter=is_counter)


def family(
    name: str, text: str, samples: Iterable[tuple[Labels, float]], *, is_counter: bool = False
) -> Metric:
    """Return a family whose samples have exactly this name.

    prometheus_client adds '_total' to the name of a counter, which DCGM's counters lack: they are untyped.
    """
    counter_kind = "counter" if name.endswith("_total") else "unknown"
    kind = counter_kind if is_counter else "gauge"
    metric = Metric(name.removesuffix("_total") if kind == "counter" else name, text, kind)
    for labels, value in samples:
        metric.add_sample(name, labels, value)
    return metric
