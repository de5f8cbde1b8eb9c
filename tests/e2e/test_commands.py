"""Without a screen: deploy a checkpoint with TP=2, DP=2, send requests, find it, stop it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import openai
import pytest

from cluster.runtime.tokenizer import ByteTokenizer
from tests.cluster.runtime.checkpoints import reference
from tests.ray.support import wait_until

PROMPT = tuple(b"two replicas, each split over two GPUs")
NUM_TOKENS = 16
SIMULATE = ("--simulate", "2x4xA100-80GB")

pytestmark = pytest.mark.ray


def clusterview(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, without a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "tui", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def test_from_checkpoint_to_streamed_answer_to_nothing_left(
    environment: dict[str, str], checkpoint: Path
) -> None:
    pins = ("--tp", "2", "--pp", "1", "--dp", "2")
    deployed = clusterview(
        environment, "deploy", *SIMULATE, "--model", str(checkpoint), *pins, "--name", "tiny", "--json"
    )
    assert deployed.returncode == 0, deployed.stderr
    status = json.loads(deployed.stdout)
    assert status["simulated"] is True
    assert (status["state"], len(status["ranks"]), len(status["replicas"])) == ("ready", 4, 2)

    _, [expected] = reference(checkpoint, PROMPT, (PROMPT,), NUM_TOKENS)
    text = ByteTokenizer(256).decode(expected)
    with openai.OpenAI(base_url=f"{status['endpoint']}/v1", api_key="none") as client:
        model = client.models.list().data[0].id
        assert completion(client, model) == text
        assert streamed(client, model) == text

    # The router balances by outstanding requests and takes turns among idle replicas, so each got one.
    assert wait_until(lambda: requests_by_replica(environment) == [1, 1], 20), requests_by_replica(
        environment
    )

    wrong = clusterview(environment, "stop", "tiny-llama")
    assert wrong.returncode == 2 and "tiny" in wrong.stderr and wrong.stderr.count("\n") == 1
    stopped = clusterview(environment, "stop", "tiny")
    assert stopped.returncode == 0, stopped.stderr
    assert json.loads(clusterview(environment, "status", "--json").stdout)["deployments"] == []


def requests_by_replica(environment: dict[str, str]) -> list[int]:
    """Return the request counts of `status`, which are about a second old."""
    (found,) = json.loads(clusterview(environment, "status", "--json").stdout)["deployments"]
    assert found["name"] == "tiny"
    return [replica["requests_total"] for replica in found["replicas"]]


def completion(client: openai.OpenAI, model: str) -> str:
    answer: Any = client.completions.create(
        model=model, prompt=list(PROMPT), max_tokens=NUM_TOKENS, temperature=0
    )
    return str(answer.choices[0].text)


def streamed(client: openai.OpenAI, model: str) -> str:
    stream: Any = client.completions.create(
        model=model, prompt=list(PROMPT), max_tokens=NUM_TOKENS, temperature=0, stream=True
    )
    return "".join(chunk.choices[0].text for chunk in stream if chunk.choices)
