"""Commands of real plans, as a person would type them."""

from __future__ import annotations

import shlex
from typing import Any

from cluster.engines.adapter import load_adapter
from cluster.engines.from_plan import server_launch
from cluster.engines.launch import Command, Member, ServerLaunch
from cluster.engines.members import members_of
from cluster.planner.result import Candidate, Plan
from tests.cluster.planner.ask import LLAMA_70B, LLAMA_405B, ask, best

MIXTURE = "Qwen/Qwen3-30B-A3B"
LARGE_MIXTURE = "deepseek-ai/DeepSeek-V3"
HTTP_PORT, MASTER_PORT = 8000, 29600

STRATEGIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "single_node_tp": (LLAMA_70B, "1x4xH100", {"tp": 4, "max_model_len": 8192}),
    "single_node_tep": (MIXTURE, "1x4xH100", {"tp": 4, "ep": 4}),
    "single_node_dep": (MIXTURE, "1x8xH100", {"tp": 1, "dp": 8, "ep": 8}),
    "single_node_dpa_tp": (MIXTURE, "1x8xH100", {"tp": 2, "dp": 4, "ep": 8}),
    "multi_node_tp": (LLAMA_405B, "2x8xH100", {"tp": 16}),
    "multi_node_tp_pp": (LLAMA_405B, "2x8xH100", {"tp": 8, "pp": 2}),
    "multi_node_tep": (LARGE_MIXTURE, "2x8xH200", {"tp": 16, "ep": 16}),
    "multi_node_dep": (LARGE_MIXTURE, "2x8xH200", {"tp": 1, "dp": 16, "ep": 16}),
    "multi_node_tp_dp": (LLAMA_70B, "2x4xH100", {"tp": 4, "dp": 2}),
}
"""The strategies of vLLM's recipes, each as a plan: model, cluster, request."""


def planned(model: str, spec: str, **request: Any) -> tuple[Plan, Candidate]:
    """Plan and return the recommended layout."""
    answer = ask(model, spec, **request)
    return answer, best(answer)


def started(model: str, spec: str, **request: Any) -> tuple[Plan, ServerLaunch, tuple[Member, ...]]:
    """Return the launch and the members of the first replica; node N has the address 10.0.0.N+1."""
    answer, candidate = planned(model, spec, **request)
    launch = server_launch(answer, candidate)
    members = members_of([place for place in candidate.placement if place.replica == 0], launch)
    return answer, launch, tuple(_placed(member) for member in members)


def typed(model: str, spec: str, **request: Any) -> list[str]:
    """Return the lines that start the first replica, one for each node."""
    answer, launch, members = started(model, spec, **request)
    adapter = load_adapter(answer.engine_name)
    assert adapter.refusal(launch, members, answer.engine_version) == ""
    commands = (adapter.printed_command(launch, member, answer.engine_version) for member in members)
    return [as_line(command) for command in commands]


def as_line(command: Command) -> str:
    """Return a command as a line of a shell."""
    return " ".join([*(f"{name}={value}" for name, value in command.env.items()), shlex.join(command.argv)])


def _placed(member: Member) -> Member:
    return member.model_copy(
        update={
            "address": f"10.0.0.{member.number + 1}",
            "interface": "eth0" if member.num_members > 1 else None,
            "http_port": HTTP_PORT,
            "master_address": "10.0.0.1",
            "master_port": MASTER_PORT,
        }
    )
