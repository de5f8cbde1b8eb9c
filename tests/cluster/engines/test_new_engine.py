"""An engine is added with one file in adapters/ and one in the catalog; nothing else changes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.engines.adapter import adapter_names, load_adapter
from cluster.errors import BadInput

ROOT = Path(__file__).parents[3]
ADAPTER = """
from cluster.engines.adapter import EngineMetrics
from cluster.engines.answers import completion_proof, has_completion_token
from cluster.engines.launch import Command
from cluster.engines.log_rules import LogRule, read_by_rules, split_line
from cluster.engines.startup import StartupPhase

LOG = (LogRule("weights: ", StartupPhase.PROFILING, {"weights_bytes": "weights: *"}),)


class Newcomer:
    name = "newcomer-llm"
    distributions = ("newcomer-llm",)
    cleans = ("NEWCOMER_",)

    def refusal(self, launch, members, version):
        return "newcomer runs on one node only" if len(members) > 1 else ""

    def command(self, launch, member, version, python):
        return Command((python, "-m", "newcomer", launch.model, "--tp", str(launch.tp)))

    def printed_command(self, launch, member, version):
        return self.command(launch, member, version, "newcomer")

    def read_line(self, line):
        return read_by_rules(split_line(line), LOG)

    def proof(self, served_name):
        return completion_proof(served_name)

    def has_token(self, answer):
        return has_completion_token(answer)

    def read_metrics(self, text):
        return EngineMetrics()


ENGINE = Newcomer()
"""
PROGRAM = """
from cluster.catalog.models import load_model
from cluster.cluster_spec import parse_cluster_spec
from cluster.engines.adapter import adapter_names, load_adapter
from cluster.engines.from_plan import server_launch
from cluster.engines.members import members_of
from cluster.planner.plan import plan
from cluster.planner.request import PlanRequest

print(*adapter_names())
request = PlanRequest(tp=2, engine="newcomer-llm")
answer = plan(parse_cluster_spec("1x2xH100"), load_model("meta-llama/Llama-3.1-8B-Instruct"), request)
adapter, launch = load_adapter(answer.engine_name), server_launch(answer, answer.recommended)
members = members_of(answer.recommended.placement, launch)
print(adapter.refusal(launch, members, answer.engine_version) or "not refused")
print(*adapter.printed_command(launch, members[0], answer.engine_version).argv)
print(adapter.read_line("weights: 2.0 GiB").facts.weights_bytes)
"""


def test_the_engines_that_can_be_started() -> None:
    assert adapter_names() == ("sglang", "vllm")
    assert [load_adapter(name).name for name in adapter_names()] == ["sglang", "vllm"]


def test_an_unknown_engine_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadInput) as refused:
        load_adapter("builtin")
    assert refused.value.one_line() == "no engine named builtin can be started. Known: sglang, vllm"


def test_a_file_in_each_of_two_folders_is_a_new_engine(tmp_path: Path) -> None:
    """Planned for, started and read by a copy of the package to which only these two files were added."""
    package = tmp_path / "cluster"
    shutil.copytree(ROOT / "cluster", package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "engines" / "adapters" / "newcomer_llm.py").write_text(ADAPTER)
    catalog = package / "catalog" / "engines"
    known = (catalog / "sglang.toml").read_text()
    (catalog / "newcomer-llm.toml").write_text(known.replace('name = "sglang"', 'name = "newcomer-llm"'))
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.stderr == ""
    assert ran.stdout.splitlines() == [
        "newcomer-llm sglang vllm",
        "not refused",
        "newcomer -m newcomer meta-llama/Llama-3.1-8B-Instruct --tp 2",
        str(2 * 1024**3),
    ]
