"""What the tests do with real vLLM deployments: deploy by command, look at processes, ask for tokens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.process_table import descendants
from tests.fake_engine.python import start_ticks
from tests.ray.real_ray import RealRay

START_S = 400.0
PROMPT = [70, 80, 90, 100]
NUM_TOKENS = 16
KV_BYTES = 64 * 2**20
COMMON = ("--dtype", "fp32", "--max-model-len", "256", "--max-num-seqs", "4", "--enforce-eager")


@dataclass(frozen=True)
class Engine:
    """Where deployments run, and what they run."""

    ray: RealRay
    python: str
    model: Path

    def command(self, *arguments: str, timeout_s: float = START_S) -> subprocess.CompletedProcess[str]:
        """Run `clusterview` as a user of this cluster does."""
        env = self.ray.user_environment(HF_HUB_OFFLINE="1", CLUSTERVIEW_STATE_DIR=f"{self.ray.folder}/state")
        child = subprocess.Popen(
            [sys.executable, "-m", "tui", *arguments],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            stdout, stderr = child.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            child.terminate()
            said = child.communicate()[1]
            raise AssertionError(f"{arguments[0]} took more than {timeout_s:.0f} s:\n{said}") from None
        return subprocess.CompletedProcess(arguments, child.returncode, stdout, stderr)

    def deploy(self, name: str, *options: str) -> Deployed:
        """Deploy the tiny model with a KV cache of KV_BYTES per GPU, and wait until it is ready."""
        where = ("--address", self.ray.address, "--engine", "vllm", "--engine-python", self.python)
        what = ("--model", str(self.model), "--name", name, "--kv-cache-memory-bytes", str(KV_BYTES))
        done = self.command("deploy", *where, *what, *COMMON, *options)
        assert done.returncode == 0, done.stderr
        return Deployed(self, name)

    def status(self, name: str) -> dict[str, Any]:
        """Return what `status --json` says of a deployment."""
        done = self.command("status", "--json", "--address", self.ray.address)
        assert done.returncode == 0, done.stderr
        found = [one for one in json.loads(done.stdout)["deployments"] if one["name"] == name]
        assert len(found) == 1, done.stdout
        status: dict[str, Any] = found[0]
        return status


class Deployed:
    """A deployment of the tiny model."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self.name = name
        self.endpoint: str = self.status()["endpoint"]

    def status(self) -> dict[str, Any]:
        return self._engine.status(self.name)

    def tokens(self, timeout_s: float = 60.0) -> list[int]:
        """Return the greedy continuation of PROMPT."""
        body = {"model": "tiny", "prompt": PROMPT, "max_tokens": NUM_TOKENS, "temperature": 0}
        answer = ask(f"{self.endpoint}/v1/completions", {**body, "return_token_ids": True}, timeout_s)
        tokens: list[int] = answer["choices"][0]["token_ids"]
        return tokens

    def answers(self) -> bool:
        """Return whether a request gets its tokens now."""
        try:
            return len(self.tokens(timeout_s=20.0)) == NUM_TOKENS
        except (OSError, urllib.error.HTTPError):
            return False

    def stop(self) -> None:
        """Stop it; nothing of its servers may be left."""
        done = self._engine.command("stop", self.name, "--address", self._engine.ray.address)
        assert done.returncode == 0, done.stderr


def ask(url: str, body: dict[str, Any], timeout_s: float = 60.0) -> dict[str, Any]:
    """POST JSON, return the JSON answer."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=timeout_s) as answer:
        loaded: dict[str, Any] = json.load(answer)
    return loaded


def wait(is_true: Callable[[], bool], timeout_s: float = START_S) -> bool:
    """Return whether it became true in time."""
    ends_s = time.monotonic() + timeout_s
    while not is_true():
        if time.monotonic() > ends_s:
            return False
        time.sleep(0.5)
    return True


def server_pids(model: Path) -> list[int]:
    """Return the `vllm serve` processes of this model, oldest first. Their guards have the same words."""
    return sorted(
        pid
        for pid, words in _commands()
        if "serve" in words and str(model) in words and not any(word.endswith("/guard.py") for word in words)
    )


def family(pid: int) -> dict[int, int]:
    """Return a server and all processes below it: pid -> its start, which tells a reused pid apart."""
    found = {one: start_ticks(one) for one in (pid, *descendants(pid))}
    return {one: started for one, started in found.items() if started is not None}


def survivors(known: dict[int, int]) -> list[int]:
    """Return which of these processes still run."""
    return [pid for pid, started in known.items() if start_ticks(pid) == started]


def name_of(pid: int) -> str:
    """Return the name of a process: vLLM's are called VLLM::EngineCore, VLLM::Worker_TP0 ..."""
    return Path(f"/proc/{pid}/comm").read_text().strip()


def _commands() -> list[tuple[int, list[str]]]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            found.append((int(entry.name), words))
    return found


def end_servers(model: Path) -> None:
    """Kill the servers of this model that a failed test left."""
    for pid in server_pids(model):
        os.kill(pid, signal.SIGKILL)
