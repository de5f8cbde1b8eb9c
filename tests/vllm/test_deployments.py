"""The real vLLM, deployed by command on Ray nodes: its tokens, its log beside the plan, its deaths."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from tests.vllm.servers import (
    NUM_TOKENS,
    PROMPT,
    Deployed,
    Engine,
    family,
    name_of,
    server_pids,
    survivors,
    wait,
)
from tests.vllm.tiny_model import transformers_tokens


@pytest.fixture(scope="module")
def tp2(engine: Engine) -> Iterator[Deployed]:
    """One replica over the two GPUs of a node, with the checkpoint's weights."""
    deployed = engine.deploy("tp2", "--tp", "2", "--dp", "1")
    yield deployed
    deployed.stop()


@pytest.fixture(scope="module")
def expected(tiny: Path) -> list[int]:
    return transformers_tokens(tiny, PROMPT, NUM_TOKENS)


def test_tp2_says_what_transformers_says(tp2: Deployed, expected: list[int]) -> None:
    assert tp2.tokens() == expected


def test_the_kv_cache_is_the_predicted_one(tp2: Deployed) -> None:
    """The plan, the engine's log and the arithmetic by hand agree: 2 x layers x KV heads x dim x 4 bytes."""
    status = tp2.status()
    assert (
        status["measured"]["kv_cache_tokens"] == status["predicted"]["kv_cache_tokens"] == 64 * 2**20 // 2048
    )
    assert status["engine"]["name"] == "vllm"
    assert status["weights"] == "checkpoint"


def test_the_openai_client_drives_it(tp2: Deployed) -> None:
    with openai.OpenAI(base_url=f"{tp2.endpoint}/v1", api_key="none", timeout=60.0) as client:
        assert [model.id for model in client.models.list()] == ["tiny"]
        talk = [{"role": "user", "content": "hi"}]
        chunks = client.chat.completions.create(model="tiny", messages=talk, max_tokens=4, stream=True)  # type: ignore[call-overload]
        assert [chunk.choices[0].finish_reason for chunk in chunks][-1] == "length"
        two = client.completions.create(model="tiny", prompt="a", max_tokens=3, n=2, logprobs=1)
        assert len(two.choices) == 2
        assert two.choices[0].logprobs is not None
        assert len(two.choices[0].logprobs.token_logprobs or ()) == 3
        with pytest.raises(openai.BadRequestError, match="max_model_len=256"):
            client.completions.create(model="tiny", prompt="a", max_tokens=10_000)


def test_vllm_bench_serve_drives_it(engine: Engine, tp2: Deployed) -> None:
    program = [engine.python, "-m", "vllm.entrypoints.cli.main", "bench", "serve", "--backend", "openai"]
    lengths = [
        "--dataset-name",
        "random",
        "--random-input-len",
        "16",
        "--random-output-len",
        "8",
        "--num-prompts",
        "8",
    ]
    target = ["--base-url", tp2.endpoint, "--model", "tiny", "--tokenizer", str(engine.model)]
    done = subprocess.run(
        [*program, *lengths, *target],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Successful requests:                     8" in done.stdout


def test_a_killed_worker_brings_the_replica_back(engine: Engine, tp2: Deployed, expected: list[int]) -> None:
    (server,) = server_pids(engine.model)
    before = family(server)
    worker = next(pid for pid in before if name_of(pid).startswith("VLLM::Worker"))
    os.kill(worker, signal.SIGKILL)
    assert wait(lambda: not survivors(before), 60.0), [name_of(pid) for pid in survivors(before)]
    assert wait(tp2.answers)
    assert tp2.tokens() == expected
    (replica,) = tp2.status()["replicas"]
    assert replica["restarts"] == 1


def test_tp2_over_two_nodes(engine: Engine, tp2: Deployed, expected: list[int]) -> None:
    """While tp2 holds the node with two GPUs, TP=2 spans the other two: a leader, and a headless server."""
    two = engine.deploy("nodes", "--tp", "2", "--dp", "1")
    ranks = two.status()["ranks"]
    assert sorted(rank["node_name"] for rank in ranks) == ["a", "b"]
    assert two.tokens() == expected
    servers = [pid for pid in server_pids(engine.model) if "--nnodes" in _words(pid)]
    assert len(servers) == 2
    known = {pid: start for server in servers for pid, start in family(server).items()}
    two.stop()
    assert wait(lambda: not survivors(known), 30.0), [name_of(pid) for pid in survivors(known)]


def test_two_replicas_and_what_kills_them(engine: Engine) -> None:
    """Two servers with dummy weights: the other one serves while one is started again."""
    two = engine.deploy("dp2", "--tp", "1", "--dp", "2", "--load-format", "dummy")
    assert two.status()["weights"] == "dummy"
    first, second = (pid for pid in server_pids(engine.model) if "dummy" in _words(pid))
    before = family(first)
    os.kill(first, signal.SIGKILL)
    _serves_until(two, lambda: two.status()["state"] == "ready" and _restarts(two) == 1)
    assert not survivors(before)
    # The agent is the grandparent: between them is the guard, which ends what the agent leaves.
    before = family(second)
    os.kill(_agent_of(second), signal.SIGKILL)
    # That a server comes back whole was seen above; this one may end while it starts.
    _serves_until(two, lambda: _restarts(two) == 2)
    assert wait(lambda: not survivors(before), 30.0)
    known = {pid: start for server in server_pids(engine.model) for pid, start in family(server).items()}
    two.stop()
    assert wait(lambda: not [pid for pid in survivors(known) if "dummy" in _words(pid)], 30.0)


def _serves_until(deployed: Deployed, is_over: object) -> None:
    """Ask again and again: every request is answered, by whichever replica lives."""
    assert callable(is_over)
    assert wait(lambda: len(deployed.tokens()) == NUM_TOKENS and is_over())


def _restarts(deployed: Deployed) -> int:
    return sum(replica["restarts"] for replica in deployed.status()["replicas"])


def _agent_of(server: int) -> int:
    """Return the Ray actor above a server."""
    pid = server
    while not name_of(pid).startswith("ray::"):
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        assert pid > 1, "no Ray actor above the server"
    return pid


def _words(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []
