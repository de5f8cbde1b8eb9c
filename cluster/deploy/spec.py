"""The frozen order that a controller carries out: what to run where."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from cluster.deploy.engine_in_use import EngineInUse
from cluster.deploy.plan_fields import BandField, LayoutField
from cluster.deploy.predicted import Predicted
from cluster.engines.launch import ServerLaunch
from cluster.frozen import FrozenModel
from cluster.planner.layout import Layout, Placement
from cluster.planner.result import Band
from cluster.text import CleanStr

Weights = Literal["checkpoint", "dummy"]
FULL_SIZE = "full size, on the CPU"
"""The scale of a checkpoint that is small enough to run unchanged on a simulated cluster."""


class RankPlace(FrozenModel):
    """One rank and the GPU it must run on."""

    replica: int
    stage: int
    rank: int
    node_id: CleanStr
    node_name: CleanStr
    gpu_index: int
    gpu_uuid: CleanStr
    planned_bytes: int | None = None
    """Memory the plan predicts on this GPU, at full scale."""
    layers: tuple[int, int] | None = None
    """First layer of the rank's stage and one past its last, as planned; None: layers are split evenly."""

    @property
    def placement(self) -> Placement:
        """The place as the planner's own type."""
        return Placement(
            self.replica,
            self.stage,
            self.rank,
            self.node_id,
            self.node_name,
            self.gpu_index,
            self.gpu_uuid,
        )


class ModelSource(FrozenModel):
    """What the ranks load."""

    name: CleanStr
    path: str | None = None
    """Folder with config.json and safetensors, on every node that runs a rank."""
    hub_id: CleanStr | None = None
    """Hub id whose weights are in every node's hub cache. Without path and hub id: dummy weights."""
    revision: CleanStr | None = None
    """Commit of the hub's repository that all ranks load; None: what each node's cache holds."""
    without_tokenizer: bool = False
    """The checkpoint has no tokenizer.json: a prompt is one token a byte."""
    config: dict[str, Any]
    """The Hugging Face config that runs (already scaled down on a simulated cluster)."""
    scale: CleanStr | None = None
    """On a simulated cluster: how much smaller the running model is, as text for the screen."""
    seed: int = 0

    @property
    def weights(self) -> Weights:
        """Whether the ranks load a checkpoint or use dummy weights of the right shapes."""
        return "dummy" if self.path is None and self.hub_id is None else "checkpoint"


class ServerPlan(FrozenModel):
    """How the engine's own servers are started: one per replica, which may span nodes."""

    launch: ServerLaunch
    python: str | None = None
    """Interpreter that has the engine, on every node; None: the Python of the cluster's nodes."""


class DeploymentSpec(FrozenModel):
    """A layout ordered on named GPUs. The same spec is what a dialog confirms and what a controller holds."""

    name: CleanStr
    model: ModelSource
    layout: LayoutField
    ranks: tuple[RankPlace, ...]
    engine: EngineInUse
    server: ServerPlan | None = None
    """None: the built-in engine, which runs inside the rank actors."""
    device: Literal["cuda", "cpu"] = "cuda"
    dtype: str = "bf16"
    max_model_len: int = 2048
    max_num_seqs: int = 16
    simulated: bool = False
    created_at_s: float = 0.0
    predicted_tokens_per_s: BandField | None = None
    """Of the plan, for the whole layout at full scale."""
    predicted: Predicted = Predicted()
    router_host: str = "127.0.0.1"
    """Address that the router listens on; beyond loopback it needs an API key."""
    router_port: int = 0
    """Port of the router; 0: a free one."""
    api_key_sha256: tuple[str, ...] = Field(default=(), repr=False)
    """SHA-256 digests of the keys that the router takes, in hex; empty: it asks for none."""
    allowed_hosts: tuple[CleanStr, ...] = ()
    """Host names that the router answers to besides the loopback ones."""
    remarks: tuple[CleanStr, ...] = ()
    """Differences from the request or the plan, one sentence each."""

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """Unpickle, also an order of an older version: Ray restarts its controller and ranks with it."""
        fields = state["__dict__"]
        super().__setstate__(state if "layout" in fields else {**state, "__dict__": _from_older(fields)})

    @property
    def label(self) -> str:
        """The layout as people write it: 'TP=4, DP=2'."""
        return self.layout.label


def _from_older(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of an order that stated degrees, engine and band one by one."""
    kept = {name: value for name, value in fields.items() if name in DeploymentSpec.model_fields}
    engine = EngineInUse(
        name=fields["engine"], version=fields["engine_version"], planned_for=fields["planned_for"]
    )
    band = fields["predicted_tokens_per_s"]
    return {
        **kept,
        "layout": Layout(tp=fields["tp"], pp=fields["pp"], dp=fields["dp"]),
        "engine": engine,
        "predicted_tokens_per_s": None if band is None else Band(*band),
    }
