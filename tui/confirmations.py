"""The text of the dialogs: what will change, where, and how much. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from cluster.deploy.drain import SCALE_DRAIN_S, STOP_DRAIN_S
from cluster.deploy.spec import FULL_SIZE, DeploymentSpec, RankPlace
from cluster.deploy.status import DeploymentStatus
from cluster.planner.result import Candidate, Plan
from cluster.text import clean
from cluster.units import GIB, count_of, format_gib
from tui.format import memory_of, throughput_band

_MAX_NODES = 6
_LONGEST_COMMAND = 400


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The content of a dialog. Rows are (name, value)."""

    title: str
    rows: tuple[tuple[str, str], ...]
    yes: str
    no: str = "Cancel"
    remark: str = ""


def confirm_deploy(spec: DeploymentSpec, candidate: Candidate) -> Confirmation:
    """Describe which model goes on which GPUs with how much memory."""
    size = f"{count_of(spec.layout.num_replicas, 'replica')}, {count_of(len(spec.ranks), 'GPU')}"
    rows = [
        ("model", spec.model.name),
        ("layout", f"{spec.label}  ({size})"),
        ("GPUs", gpus_by_node(spec)),
        ("memory", f"{_memory(spec, candidate)} on the fullest GPU"),
        ("weights", weights_of(spec)),
        ("engine", spec.engine.text),
        *_server_rows(spec),
    ]
    if spec.predicted_tokens_per_s is not None:
        rows.append(("expected", throughput_band(spec.predicted_tokens_per_s)))
    elif candidate.estimate is not None:
        rows.append(("expected", throughput_band(candidate.estimate.throughput_tokens_per_s)))
    remark = ""
    if spec.simulated:
        what = "The model" if spec.model.scale == FULL_SIZE else "Scaled model"
        scale = f"\n{what}: {spec.model.scale}." if spec.model.scale else ""
        remark = f"SIMULATED cluster: real actors and collectives, on CPUs.{scale}"
    rows.extend(("note", remark) for remark in spec.remarks)
    return Confirmation(f"Deploy {spec.name}?", tuple(rows), yes="Deploy", remark=remark)


def _server_rows(spec: DeploymentSpec) -> tuple[tuple[str, str], ...]:
    """Describe how an engine's own servers are started; () for the built-in engine."""
    if spec.server is None:
        return ()
    # Imports the adapters, which nothing else on the screen needs.
    from cluster.deploy.server_commands import server_commands

    commands = server_commands(spec, {})
    more = len(commands) - 1
    also = f"\nand {count_of(more, 'more server')} like it" if more else ""
    python = spec.server.python or "the one that runs Ray on each node"
    return ("python", python), ("command", clean(commands[0].text, _LONGEST_COMMAND) + also)


def weights_of(spec: DeploymentSpec) -> str:
    """Describe where the weights come from; dummy ones stand out."""
    if spec.model.weights == "dummy":
        return "DUMMY WEIGHTS: real shapes, random values"
    return spec.model.path or "the checkpoint in each node's Hugging Face cache"


def _memory(spec: DeploymentSpec, candidate: Candidate) -> str:
    """Describe a rank's memory: on real GPUs that of the engine that runs, whichever was planned."""
    held = [place.planned_bytes for place in spec.ranks if place.planned_bytes is not None]
    return memory_of(candidate) if spec.simulated or not held else format_gib(max(held))


def gpus_by_node(spec: DeploymentSpec) -> str:
    """List the GPUs of a spec, one line per node: 'node-0: 0 1 2 3'."""
    return _by_node(spec.ranks)


def _by_node(places: Iterable[RankPlace]) -> str:
    by_node: dict[str, list[int]] = defaultdict(list)
    for place in places:
        by_node[place.node_name].append(place.gpu_index)
    lines = [
        f"{name}: {' '.join(str(index) for index in sorted(indices))}" for name, indices in by_node.items()
    ]
    if len(lines) > _MAX_NODES:
        lines = [*lines[: _MAX_NODES - 1], f"and {count_of(len(lines) - _MAX_NODES + 1, 'more node')}"]
    return "\n".join(lines)


def confirm_stop(status: DeploymentStatus) -> Confirmation:
    """Describe what stops: the deployment, its GPUs, the requests in flight."""
    in_flight = sum(replica.in_flight for replica in status.replicas)
    held = sum(status.planned_bytes_by_gpu.values())
    rows = [
        ("model", status.model),
        ("layout", status.label),
        ("GPUs", f"{count_of(len(status.ranks), 'GPU')} will be freed"),
        ("requests", _requests(in_flight, STOP_DRAIN_S)),
    ]
    if held:
        rows.insert(3, ("memory", f"{held / GIB:,.0f} GiB planned"))
    return Confirmation(f"Stop {status.name}?", tuple(rows), yes="Stop", no="Keep")


def _requests(in_flight: int, drain_s: float) -> str:
    return f"{in_flight:,} in flight, with {drain_s:.0f} s to finish" if in_flight else "none in flight"


def confirm_scale(now: DeploymentSpec, wanted: DeploymentSpec, status: DeploymentStatus) -> Confirmation:
    """Describe which GPUs are claimed for a new replica, or which replica ends and what it still does."""
    more = [place for place in wanted.ranks if place not in now.ranks]
    fewer = [place for place in now.ranks if place not in wanted.ranks]
    changed = sorted({place.replica for place in more or fewer})
    names = ", ".join(f"R{number}" for number in changed)
    sizes = [count_of(spec.layout.num_replicas, "replica") for spec in (now, wanted)]
    rows = [
        ("model", now.model.name),
        ("layout", f"{now.label}  ({sizes[0]}) now, then {wanted.label}  ({sizes[1]})"),
    ]
    if more:
        rows.append(("starts", f"{names}; the others go on serving"))
        rows.append(("GPUs", f"{count_of(len(more), 'GPU')} will be claimed\n{_by_node(more)}"))
        return Confirmation(f"Add a replica to {now.name}?", tuple(rows), yes="Add")
    in_flight = sum(replica.in_flight for replica in status.replicas if replica.replica in changed)
    rows.append(("ends", f"{names}: it takes no new requests, the others go on serving"))
    rows.append(("requests", _requests(in_flight, SCALE_DRAIN_S)))
    rows.append(("GPUs", f"{count_of(len(fewer), 'GPU')} will be freed\n{_by_node(fewer)}"))
    return Confirmation(f"End a replica of {now.name}?", tuple(rows), yes="End", no="Keep")


def prompt_remark(status: DeploymentStatus) -> str:
    """Warn of meaningless output: the model is scaled down, or its weights are dummies."""
    if status.scale not in (None, FULL_SIZE):
        return f"SIMULATED, scaled model: {status.scale}. Expect meaningless output."
    return "DUMMY WEIGHTS. Expect meaningless output." if status.weights == "dummy" else ""


def no_longer_fits(wanted: Candidate, now: Candidate | None, plan: Plan) -> tuple[str, str, str]:
    """Explain why a layout that fit no longer does: title, message, what to do."""
    title = f"{wanted.label} no longer fits"
    if now is None:
        message, *more = plan.advice or ("The GPUs it needs are no longer free.",)
        return title, message, "; ".join(more)
    message = "\n".join(rejection.message for rejection in now.rejections) or now.why
    return title, message, "; ".join(rejection.fix for rejection in now.rejections if rejection.fix)
