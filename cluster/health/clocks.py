"""Signs of a GPU that runs below its rates: heat, throttling, power limits, somebody's work."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.gpu_health import Slowdown
from cluster.health.sign import GpuSeen, Sign, at_least
from cluster.health.thresholds import Thresholds


def heat_signs(seen: GpuSeen, limits: Thresholds) -> Iterator[Sign]:
    """Yield a sign for a GPU or its memory near the temperature at which it slows down."""
    heat = limits.heat
    slows_at_c = seen.facts.slowdown_temperature_c or heat.slowdown_c
    now_c = seen.reading.temperature_c
    if now_c is not None and now_c >= slows_at_c - heat.below_slowdown_c:
        yield Sign("hot", f"hot: {now_c:.0f} C (slows down at {slows_at_c:.0f} C)")
    memory_c, most_c = seen.reading.memory_temperature_c, seen.facts.max_memory_temperature_c
    if memory_c is not None and most_c and memory_c >= most_c - heat.below_memory_limit_c:
        yield Sign("hot", f"hot: memory at {memory_c:.0f} C (its limit is {most_c:.0f} C)")


def clock_signs(seen: GpuSeen, limits: Thresholds) -> Iterator[Sign]:
    """Yield signs for clocks that are held down, with what is left of the rates."""
    clocks, reasons = limits.clocks, seen.reading.throttle_reasons or ()
    brakes = clocks.brake in reasons
    # Hardware slowdown is the sum of its causes; alone it is one by itself.
    causes = [one for one in reasons if one in clocks.throttle and not (brakes and one == "hw_slowdown")]
    named = [one for one in causes if one != "hw_slowdown"] or causes
    if named:
        why = ", ".join(clocks.names.get(one, one) for one in named)
        yield Sign("throttled", f"throttled: {_clock(seen)} ({why})", _left(seen, limits))
    elif not brakes and _is_slow_under_load(seen, limits):
        why = ", ".join(clocks.names.get(one, one) for one in reasons) or "the driver gives no reason"
        text = f"throttled: {_clock(seen)} while {seen.used_percent:.0f}% busy ({why})"
        yield Sign("throttled", text, _left(seen, limits))
    if brakes:
        yield Sign("power_brake", f"{clocks.names[clocks.brake]}: {_clock(seen)}", _left(seen, limits))


def power_signs(seen: GpuSeen, limits: Thresholds) -> Iterator[Sign]:
    """Yield a sign for a power limit clearly below the GPU's default."""
    limit_w, usual_w = seen.reading.power_limit_w, seen.facts.default_power_limit_w
    if limit_w is None or not usual_w or limit_w >= limits.power.capped_below_share * usual_w:
        return
    share = at_least((limit_w / usual_w) ** limits.power.rate_exponent)
    yield Sign("power_capped", f"power limit {limit_w:,.0f} of {usual_w:,.0f} W", Slowdown(compute=share))


def busy_signs(seen: GpuSeen, limits: Thresholds) -> Iterator[Sign]:
    """Yield a sign for a GPU that computes for somebody else; what a deployment holds is known as claimed."""
    used = seen.used_percent
    if used is None or used < limits.busy.percent or seen.gpu.claimed_by is not None:
        return
    processes = seen.reading.processes or seen.gpu.processes
    most = max(processes, key=lambda one: (one.sm_percent or 0.0, one.memory_bytes or 0), default=None)
    who = "" if most is None else f" with pid {most.pid}"
    if most is not None and (most.name or most.user):
        who += f" ({', '.join(part for part in (most.name, most.user) if part)})"
    more = f" and {len(processes) - 1} more" if len(processes) > 1 else ""
    share = at_least(max(1 - used / 100, limits.busy.least_share))
    yield Sign("busy", f"{used:.0f}% busy{who}{more}", Slowdown(compute=share, memory=share))


def _is_slow_under_load(seen: GpuSeen, limits: Thresholds) -> bool:
    share, used = _clock_share(seen), seen.used_percent
    loaded = used is not None and used >= limits.clocks.busy_percent
    return share is not None and loaded and share < limits.clocks.low_share


def _left(seen: GpuSeen, limits: Thresholds) -> Slowdown:
    """Return what the clocks leave of the rates; an idle GPU's clocks do not show it."""
    clocks, reasons = limits.clocks, seen.reading.throttle_reasons or ()
    share = _clock_share(seen)
    if share is None or clocks.idle in reasons:
        return Slowdown(compute=clocks.unknown_share)
    memory = share / clocks.full_memory_rate_clock_share
    now, most = seen.reading.memory_clock_mhz, seen.facts.max_memory_clock_mhz
    if now and most:
        memory = min(memory, now / most)
    return Slowdown(compute=at_least(share), memory=at_least(memory))


def _clock_share(seen: GpuSeen) -> float | None:
    now, most = seen.reading.sm_clock_mhz, seen.facts.max_sm_clock_mhz
    return None if now is None or not most else now / most


def _clock(seen: GpuSeen) -> str:
    now, most = seen.reading.sm_clock_mhz, seen.facts.max_sm_clock_mhz
    if now is None:
        return "clock unknown"
    return f"{now:,.0f} of {most:,.0f} MHz" if most else f"{now:,.0f} MHz"
