"""The lines that `clusterview export --format vllm` prints, pasted into a shell as they are."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import urllib.error
from pathlib import Path

from tests.vllm.servers import COMMON, KV_BYTES, NUM_TOKENS, PROMPT, Engine, ask, wait
from tests.vllm.tiny_model import transformers_tokens


def test_lines_for_two_nodes_start_as_printed(engine: Engine, tiny: Path) -> None:
    """A fixed plan over two nodes: what both lines start answers as transformers does."""
    what = ("--model", str(tiny), "--engine-version", "0.32.0+cpu", "--kv-cache-memory-bytes", str(KV_BYTES))
    cluster = _two_nodes(engine)
    done = engine.command(
        "export", "--format", "vllm", "--cluster", cluster, *what, "--tp", "2", "--dp", "1", *COMMON
    )
    assert done.returncode == 0, done.stderr
    endpoint = re.findall(r"# replica 0: (http\S+)/v1", done.stdout)[0]
    lines = [line for line in done.stdout.splitlines() if line and not line.startswith("#")]
    assert len(lines) == 2, done.stdout
    path = f"{Path(engine.python).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
    shells = [
        subprocess.Popen(
            ["bash", "-c", line],
            env=env,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for line in lines
    ]
    try:
        body = {"model": "tiny", "prompt": PROMPT, "max_tokens": NUM_TOKENS, "temperature": 0}
        answers: list[list[int]] = []

        def answered() -> bool:
            assert all(shell.poll() is None for shell in shells), "a line ended at once"
            try:
                answer = ask(f"{endpoint}/v1/completions", {**body, "return_token_ids": True})
            except (OSError, urllib.error.HTTPError):
                return False
            answers.append(answer["choices"][0]["token_ids"])
            return True

        assert wait(answered)
        assert answers[0] == transformers_tokens(tiny, PROMPT, NUM_TOKENS)
    finally:
        for shell in shells:
            os.killpg(shell.pid, signal.SIGKILL)
            shell.wait()


def _two_nodes(engine: Engine) -> str:
    """Return a snapshot of the cluster without its node of two GPUs."""
    path = Path(engine.ray.folder) / "two-nodes.json"
    done = engine.command("snapshot", "-o", str(path), "--address", engine.ray.address)
    assert done.returncode == 0, done.stderr
    snapshot = json.loads(path.read_text())
    cluster = snapshot["cluster"]
    cluster["nodes"] = [node for node in cluster["nodes"] if node["name"] in ("a", "b")]
    path.write_text(json.dumps(snapshot))
    return str(path)
