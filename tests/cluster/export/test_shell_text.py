"""Commands that a person pastes: one line per node, with the planned GPUs, ports and addresses."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest

from cluster.errors import BadInput
from cluster.planner.result import Plan
from tests.cluster.export.cases import CASES, exported, exported_from, planned, renamed


def lines_of(text: str) -> list[str]:
    """Return the lines that are commands."""
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def option(line: str, name: str) -> str:
    """Return the value of an option on a line."""
    words = shlex.split(line)
    return words[words.index(name) + 1]


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
@pytest.mark.parametrize("case", CASES)
def test_there_is_a_line_for_each_node_of_each_replica(case: str, engine: str) -> None:
    found = planned(case, engine)
    assert found.recommended is not None
    if (case, engine) == ("formats and limits", "sglang"):
        with pytest.raises(BadInput, match="no option for the size of the KV cache"):
            exported_from(found, engine)
        return
    text = exported_from(found, engine)
    places = {(place.replica, place.node_name) for place in found.recommended.placement}
    lines = text.splitlines()
    assert len(lines_of(text)) == len(places)
    for _, node in places:
        assert any(line.startswith(f"# on {node}, GPU ") for line in lines)


def test_servers_on_one_node_have_ports_of_their_own() -> None:
    first, second = lines_of(exported("replicas in one node", "vllm"))
    assert (option(first, "--port"), option(second, "--port")) == ("8000", "8001")
    assert (option(first, "--device-ids"), option(second, "--device-ids")) == ("0,1", "2,3")
    assert "# 2 independent servers: put a load balancer in front" in exported("replicas in one node", "vllm")


def test_nodes_with_one_address_share_its_ports() -> None:
    found = planned("TP in a node, replicas", "vllm")
    nodes = tuple(node.model_copy(update={"address": "127.0.0.1"}) for node in found.cluster.nodes)
    found = replace(found, cluster=found.cluster.model_copy(update={"nodes": nodes}))
    assert [option(line, "--port") for line in lines_of(exported_from(found, "vllm"))] == ["8000", "8001"]


def test_servers_on_different_nodes_may_have_the_same_port() -> None:
    first, second = lines_of(exported("TP in a node, replicas", "vllm"))
    assert option(first, "--port") == option(second, "--port") == "8000"


def with_addresses(found: Plan) -> Plan:
    """Return a plan whose nodes have addresses, as those of a live cluster."""
    nodes = tuple(
        node.model_copy(update={"address": f"10.0.0.{number}"})
        for number, node in enumerate(found.cluster.nodes, 1)
    )
    return replace(found, cluster=found.cluster.model_copy(update={"nodes": nodes}))


def test_members_meet_at_the_leaders_address() -> None:
    text = exported_from(with_addresses(planned("TP and PP over nodes", "vllm")), "vllm")
    leader, worker = lines_of(text)
    assert option(leader, "--host") == "10.0.0.1" and "VLLM_HOST_IP=10.0.0.2 " in worker
    for rank, line in enumerate((leader, worker)):
        assert option(line, "--master-addr") == "10.0.0.1" and option(line, "--node-rank") == str(rank)
    assert "# replica 0: http://10.0.0.1:8000/v1" in text and "not known here" not in text


def test_without_addresses_names_stand_for_them() -> None:
    text = exported("TP and PP over nodes", "vllm")
    leader, worker = lines_of(text)
    assert option(worker, "--master-addr") == "node-1" and option(leader, "--host") == "0.0.0.0"
    assert "VLLM_HOST_IP" not in text and "# Node names stand for addresses" in text


@pytest.mark.parametrize("name", ["org/a b; rm -rf $HOME", "org/`id`", "org/'x'", "-x", "org/$(id)"])
def test_a_shell_reads_names_from_outside_as_one_word(name: str) -> None:
    (line,) = lines_of(exported_from(renamed(planned("one GPU", "vllm"), name), "vllm"))
    assert option(line, "--served-model-name") == name and shlex.split(line)[3] == name


@pytest.mark.parametrize("name", ["org/\x1b[31mred", "org/two\nlines", "org/\u202eback"])
def test_what_a_terminal_would_obey_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="control characters"):
        exported_from(renamed(planned("one GPU", "vllm"), name), "vllm")


def test_a_hostile_node_name_stays_inside_its_comment_and_its_word() -> None:
    found = planned("TP and PP over nodes", "vllm")
    first, second = found.cluster.nodes
    named = first.model_copy(update={"name": "evil; reboot"})
    found = replace(found, cluster=found.cluster.model_copy(update={"nodes": (named, second)}))
    leader, worker = lines_of(exported_from(found, "vllm"))
    assert option(worker, "--master-addr") == option(leader, "--master-addr") == "evil; reboot"


def test_what_a_version_lacks_is_refused_with_the_remedy() -> None:
    found = replace(planned("TP and PP over nodes", "vllm"), engine_version="0.10.0")
    with pytest.raises(BadInput, match=r"vLLM 0\.10\.0 has no --nnodes: install vLLM"):
        exported_from(found, "vllm")


def test_older_versions_name_their_gpus_by_variable() -> None:
    found = replace(planned("replicas in one node", "vllm"), engine_version="0.20.0")
    assert "CUDA_VISIBLE_DEVICES=2,3 vllm serve" in exported_from(found, "vllm")
