"""What a replica's server is started with (`ServerLaunch`), where (`Member`), and the resulting command."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field

from cluster.frozen import FrozenModel
from cluster.text import CleanStr

Device = Literal["cuda", "cpu"]


class ServerLaunch(FrozenModel):
    """The options of one replica's server, the same on all its nodes. None: the engine's own default."""

    model: str
    """Folder, or hub id, as the engine reads it on each node."""
    served_name: CleanStr
    """Name that clients send in the field `model`."""
    revision: CleanStr | None = None
    """Commit of the hub's repository."""
    load_format: Literal["auto", "safetensors", "dummy"] = "auto"
    tp: int = 1
    pp: int = 1
    attention_dp: int = 1
    """Data-parallel attention ranks of this one replica; independent replicas are servers of their own."""
    expert_parallel: bool = False
    """Experts are spread over all ranks of the replica, instead of being split by tensor parallelism."""
    decode_context_parallel: int = 1
    layers_per_stage: tuple[int, ...] = ()
    """Layers of each pipeline stage where they are not the engine's even split; empty: the engine splits."""
    dtype: CleanStr | None = None
    quantization: CleanStr | None = None
    kv_cache_dtype: CleanStr | None = None
    max_model_len: int | None = None
    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None
    gpu_memory_utilization: float | None = None
    kv_cache_memory_bytes: int | None = None
    """Size of each GPU's KV cache."""
    enforce_eager: bool = False
    device: Device = "cuda"
    extra_args: tuple[str, ...] = ()
    """Further arguments for the engine, as the user typed them."""


class Member(FrozenModel):
    """One node of one replica: the place of one server process. Member 0 is the leader and takes requests."""

    number: int = 0
    num_members: int = 1
    address: str = "127.0.0.1"
    """Address of its node, by which the other members reach it."""
    interface: str | None = None
    """Network interface that has this address; None: not known."""
    gpu_indices: tuple[int, ...] = ()
    """Its GPUs on this node, in rank order, by NVML's numbers."""
    gpu_uuids: tuple[CleanStr, ...] = ()
    http_port: int = 0
    """Port of the leader's HTTP server, at the leader's address."""
    master_address: str = "127.0.0.1"
    """Address of the leader's node."""
    master_port: int = 0
    """Port at which the members meet; the same for all. Engines that need more ports take the next ones."""
    api_key: str | None = Field(default=None, repr=False)
    """Key that the leader's server asks for, since its port can be reached from other machines."""

    @property
    def is_leader(self) -> bool:
        return self.number == 0


@dataclass(frozen=True, slots=True)
class Command:
    """A process to start: arguments, and variables that are set on top of the cleaned environment."""

    argv: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
