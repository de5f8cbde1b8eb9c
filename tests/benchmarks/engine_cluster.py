"""A real Ray cluster on this machine whose nodes have the fake vLLM, for benchmarks of engine processes."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.bridge.open_session import open_session
from cluster.catalog.models import load_model
from cluster.cli.session_view import SessionView
from cluster.deploy.order import OrderTerms, make_order
from cluster.deploy.spec import DeploymentSpec
from cluster.deploy.status import DeploymentStatus
from cluster.planner.plan import plan
from cluster.planner.request import PlanRequest
from tests.cluster.probe.fake_library import build_fake_nvml
from tests.fake_engine.python import end_engine_processes, fake_python
from tests.ray.real_ray import RealNode, RealRay
from tests.ray.support import TINY_LLAMA

LIMIT_S = 120.0
VERSION = "0.32.0"


@dataclass(frozen=True)
class EngineCluster:
    """A node with GPUs by a fake NVML, a session on it, and a model that the fake engine takes."""

    ray: RealRay
    view: SessionView
    python: Path
    model: Path

    def order(self, name: str, *, tp: int = 1, dp: int = 1) -> DeploymentSpec:
        """Return an order for the fake vLLM."""
        cluster = self.view.settled_cluster(LIMIT_S)
        request = PlanRequest(
            tp=tp,
            pp=1,
            dp=dp,
            engine="vllm",
            engine_version=VERSION,
            max_model_len=256,
            load_format="dummy",
        )
        answer = plan(cluster, load_model(str(self.model)), request)
        assert answer.recommended is not None, answer.advice
        terms = OrderTerms(time.time(), name=name, engine_pythons={"vllm": str(self.python)})
        return make_order(answer, answer.recommended, terms)

    def deploy(self, spec: DeploymentSpec) -> DeploymentStatus:
        """Deploy and wait until it is ready."""
        self.view.session.deploy(spec).result(LIMIT_S)
        assert self.view.wait(lambda: self.is_ready(spec.name), LIMIT_S), self.view.find(spec.name)
        status = self.view.find(spec.name)
        assert status is not None
        return status

    def is_ready(self, name: str) -> bool:
        """Return whether all its replicas serve, by the last status."""
        found = self.view.find(name)
        assert found is None or found.state != "failed", found
        return found is not None and found.state == "ready"

    def ray_holds(self) -> dict[str, Any]:
        """Ask Ray, in a separate driver, for placement groups and named actors."""
        done = subprocess.run(
            [sys.executable, "-c", _LOOK, self.ray.address],
            env=self.ray.user_environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found


_LOOK = """
import json, sys
import ray
ray.init(address=sys.argv[1], namespace="clusterview", log_to_driver=False, logging_level="CRITICAL")
groups = [g["name"] for g in ray.util.placement_group_table().values() if g["state"] != "REMOVED"]
print(json.dumps({"groups": groups, "actors": ray.util.list_named_actors()}))
"""


@contextlib.contextmanager
def engine_cluster(*, num_gpus: int, **behaviour: Any) -> Iterator[EngineCluster]:
    """Start everything; end all of it afterwards. `behaviour` is the fake engine's."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        place = Path(folder)
        for name in ("nvml", "state", "model"):
            (place / name).mkdir()
        (place / "model" / "config.json").write_text(json.dumps(TINY_LLAMA))
        (place / "model" / "tokenizer.json").write_text("{}")
        python = fake_python(place / "engine", version=VERSION, **behaviour)
        stack.callback(end_engine_processes, python)
        ray = stack.enter_context(RealRay(build_fake_nvml(place / "nvml")))
        ray.start_head()
        ray.start_nodes(RealNode("gpus", nvml_gpus=num_gpus))
        os.environ.update(ray.ray_environment())
        os.environ["CLUSTERVIEW_STATE_DIR"] = str(place / "state")
        session = open_session(address=ray.address, simulate=None, engine_pythons={"vllm": str(python)})
        view = stack.enter_context(SessionView(session, shows_progress=False))
        view.settled_cluster(LIMIT_S)
        yield EngineCluster(ray, view, python, place / "model")
