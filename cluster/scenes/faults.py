"""The kinds of faults that a scene can hold, and what each does to a simulated GPU."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal, get_args

from pydantic import Field

from cluster.detail import XidEvent
from cluster.frozen import FrozenModel
from cluster.probe.simulated import Condition
from cluster.text import CleanStr

MOST_SECONDS = 7 * 86_400
Seconds = Annotated[float, Field(ge=0, le=MOST_SECONDS, allow_inf_nan=False)]
Index = Annotated[int, Field(ge=0, lt=256, strict=True)]
Number = Annotated[int, Field(ge=0, le=10**9, strict=True)]
Name = Annotated[CleanStr, Field(min_length=1, max_length=256)]
ThrottleReason = Literal["hw_thermal", "sw_thermal", "hw_slowdown", "sw_power_cap", "sync_boost"]
RecoveryAction = Literal["GPU reset", "node reboot", "drain P2P", "drain and reset"]


class Timed(FrozenModel):
    """Something on a node from `at_s` until `until_s`; without an end, for good."""

    node: Name
    """As in the scene: its name there, or 'node-1', 'node-2' ... in the order of the cluster."""
    at_s: Seconds = 0.0
    until_s: Seconds | None = None

    def holds(self, scene_s: float) -> bool:
        """Whether it is there at a time of the scene."""
        return self.at_s <= scene_s and (self.until_s is None or scene_s < self.until_s)


class GpuFault(Timed):
    """A fault of some GPUs of a node; without `gpus`, of all."""

    gpus: Annotated[tuple[Index, ...], Field(max_length=256)] | None = None

    def applied(self, condition: Condition, began_s: float) -> Condition:
        """Return the condition with this fault in it; `began_s` is the Unix time at which it began."""
        raise NotImplementedError


class Throttle(GpuFault):
    """Clocks fall, for one of the driver's reasons."""

    kind: Literal["throttle"]
    sm_clock_mhz: Annotated[float, Field(gt=0, le=10_000)] = 345.0
    reason: ThrottleReason = "hw_thermal"

    def applied(self, condition: Condition, began_s: float) -> Condition:
        """Lower the clock and name the reason."""
        clock = min(self.sm_clock_mhz, condition.sm_clock_mhz or self.sm_clock_mhz)
        reasons = (*condition.throttle_reasons, self.reason)
        return replace(condition, sm_clock_mhz=clock, throttle_reasons=reasons)


class Hot(GpuFault):
    """The GPU warms up to a temperature."""

    kind: Literal["hot"]
    temperature_c: Annotated[float, Field(ge=0, le=200)] = 91.0

    def applied(self, condition: Condition, began_s: float) -> Condition:
        """Set the temperature that it eases towards."""
        return replace(condition, temperature_c=self.temperature_c)


class PowerBrake(GpuFault):
    """The power supply holds the GPU down."""

    kind: Literal["power_brake"]
    sm_clock_mhz: Annotated[float, Field(gt=0, le=10_000)] = 990.0

    def applied(self, condition: Condition, began_s: float) -> Condition:
        """Lower the clock, as hardware does."""
        reasons = (*condition.throttle_reasons, "hw_power_brake", "hw_slowdown")
        return replace(condition, sm_clock_mhz=self.sm_clock_mhz, throttle_reasons=reasons)


class PowerCap(GpuFault):
    """Somebody lowered the power limit."""

    kind: Literal["power_cap"]
    power_limit_w: Annotated[float, Field(gt=0, le=10_000)]

    def applied(self, condition: Condition, began_s: float) -> Condition:
        """Lower the limit."""
        reasons = (*condition.throttle_reasons, "sw_power_cap")
        return replace(condition, power_limit_w=self.power_limit_w, throttle_reasons=reasons)


class Lost(GpuFault):
    """The GPU falls off the bus."""

    kind: Literal["lost"]
    reason: Name = "the GPU is lost (fell off the bus); see the kernel log for its Xid"

    def applied(self, condition: Condition, began_s: float) -> Condition:
        """Leave nothing of it but the reason."""
        return replace(condition, lost=self.reason)


class Ecc(GpuFault):
    """Errors in the GPU's memory since the driver was loaded."""

    kind: Literal["ecc"]
    corrected: Number = 0
    uncorrected: Number = 0

    def applied(self, condition: Condition, began_s: float) -> Condition:
        """Count the errors."""
        corrected = condition.ecc_corrected + self.corrected
        return replace(
            condition, ecc_corrected=corrected, ecc_uncorrected=condition.ecc_uncorrected + self.uncorrected
        )


class Remap(GpuFault):
    """Rows of the memory are remapped: at the next reset, or no more because none are left."""

    kind: Literal["remap"]
    rows: Number = 1
    pending: bool = False
    failed: bool = False

    def applied(self, condition: Condition, began_s: float) -> Condition:
        """Set what the driver says of remapping."""
        pending, failed = condition.remap_pending or self.pending, condition.remap_failed or self.failed
        return replace(condition, remapped_rows=self.rows, remap_pending=pending, remap_failed=failed)


class LinksDown(GpuFault):
    """NVLinks of the GPU are down; the rest carries less."""

    kind: Literal["links_down"]
    count: Annotated[int, Field(ge=1, le=64, strict=True)]
    errors: Number = 0

    def applied(self, condition: Condition, began_s: float) -> Condition:
        """Take links down."""
        return replace(condition, links_down=self.count, link_errors=condition.link_errors + self.errors)


class NarrowPcie(GpuFault):
    """The slot trained to a lower generation or fewer lanes."""

    kind: Literal["narrow_pcie"]
    generation: Annotated[int, Field(ge=1, le=6, strict=True)] | None = None
    width: Literal[1, 2, 4, 8, 16] | None = None

    def applied(self, condition: Condition, began_s: float) -> Condition:
        """Set what differs from the board's own."""
        generation = self.generation or condition.pcie_generation
        return replace(condition, pcie_generation=generation, pcie_width=self.width or condition.pcie_width)


class Xid(GpuFault):
    """The driver reports an error by its number."""

    kind: Literal["xid"]
    code: Annotated[int, Field(ge=1, le=10_000, strict=True)]

    def applied(self, condition: Condition, began_s: float) -> Condition:
        """Add the event, which happened once, when the fault began."""
        return replace(condition, xids=(*condition.xids, XidEvent(code=self.code, at_s=began_s)))


class Recovery(GpuFault):
    """The driver asks for an action before the GPU is used again."""

    kind: Literal["recovery"]
    action: RecoveryAction = "GPU reset"

    def applied(self, condition: Condition, began_s: float) -> Condition:
        """Name the action."""
        return replace(condition, recovery_action=self.action)


class Fabric(GpuFault):
    """The NVLink fabric between nodes reports problems."""

    kind: Literal["fabric"]
    problems: Annotated[tuple[Name, ...], Field(min_length=1, max_length=20)] = ("degraded bandwidth",)

    def applied(self, condition: Condition, began_s: float) -> Condition:
        """Add the problems."""
        return replace(condition, fabric_problems=(*condition.fabric_problems, *self.problems))


class NodeDown(Timed):
    """The node dies. With an end, it comes back then."""

    kind: Literal["node_down"]
    reason: Name = "simulated: the node does not answer any more"


class NodeHung(Timed):
    """A call to the driver does not return: nothing new is read of the node."""

    kind: Literal["node_hung"]
    call: Name = "nvmlDeviceGetMemoryInfo"
    gpu: Index = 0


AnyGpuFault = (
    Throttle
    | Hot
    | PowerBrake
    | PowerCap
    | Lost
    | Ecc
    | Remap
    | LinksDown
    | NarrowPcie
    | Xid
    | Recovery
    | Fabric
)
Fault = Annotated[AnyGpuFault | NodeDown | NodeHung, Field(discriminator="kind")]


def fault_kinds() -> tuple[str, ...]:
    """Return the names of all kinds, in order."""
    classes = (*get_args(AnyGpuFault), NodeDown, NodeHung)
    return tuple(sorted(get_args(one.model_fields["kind"].annotation)[0] for one in classes))
