"""Signs of faulty memory, of errors that the driver reported, and of GPUs that cannot be read."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.health.sign import GpuSeen, Sign, SlowSeen
from cluster.health.thresholds import Thresholds
from cluster.units import count_of

NO_ACTION = "none"


def reported_signs(seen: GpuSeen, limits: Thresholds) -> Iterator[Sign]:
    """Yield the reasons for which a GPU could not be read, or was left out when it was."""
    for text in (seen.gpu.unhealthy_reason, seen.reading.error):
        if text:
            code = next((code for word, code in limits.reported.items() if word in text), "reads_fail")
            yield Sign(code, text)


def memory_signs(seen: SlowSeen, limits: Thresholds) -> Iterator[Sign]:
    """Yield signs of faulty memory. Errors of earlier loads of the driver have been dealt with."""
    detail = seen.detail
    errors = detail.ecc.volatile_uncorrected
    if errors:
        text = f"{count_of(errors, 'uncorrectable memory error')} (ECC) since the driver was loaded"
        yield Sign("ecc_uncorrectable", text)
    if detail.remap_failed:
        yield Sign("remap_failed", "remapping of a faulty memory row failed; the GPU needs repair")
    if detail.remap_pending:
        yield Sign("remap_pending", "a memory row is to be remapped at the next GPU reset")
    if detail.retirement_pending:
        yield Sign("retirement_pending", "memory pages are to be retired at the next GPU reset")


def driver_signs(seen: SlowSeen, limits: Thresholds) -> Iterator[Sign]:
    """Yield what the driver asks for, and the Xids that say something about the GPU."""
    action = seen.detail.recovery_action
    if action and action != NO_ACTION:
        yield Sign("recovery_action", f"the driver asks for a recovery action: {action}")
    rule = limits.xid
    for code, names, for_s in (
        ("xid_fatal", rule.unhealthy, rule.unhealthy_for_s),
        ("xid", rule.degraded, rule.degraded_for_s),
    ):
        recent = (one for one in seen.detail.xids if one.code in names and one.at_s >= seen.now_s - for_s)
        latest = max(recent, key=lambda event: event.at_s, default=None)
        if latest is not None:
            yield Sign(code, f"Xid {latest.code}: {names[latest.code]}")
