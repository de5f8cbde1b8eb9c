"""The key of an SGLang server gets into its arguments inside the process, where no other user sees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from cluster.engines.adapter import load_adapter
from cluster.engines.launch import Member, ServerLaunch

# As SGLang does: the server starts its workers with 'spawn', which looks at the main module again.
SERVER = """
import json, multiprocessing, os, pathlib, sys


def worker(queue):
    queue.put(__name__)


if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=worker, args=(queue,))
    process.start()
    said = {
        "arguments": sys.argv[1:],
        "worker": queue.get(timeout=30),
        "command_line": pathlib.Path("/proc/self/cmdline").read_text().split(chr(0))[1:-1],
        "environment": [name for name in os.environ if "KEY" in name],
    }
    process.join()
    print(json.dumps(said))
"""


def test_the_key_is_an_argument_of_the_module_but_not_of_the_process(tmp_path: Path) -> None:
    (tmp_path / "sglang").mkdir()
    (tmp_path / "sglang" / "__init__.py").touch()
    (tmp_path / "sglang" / "launch_server.py").write_text(SERVER)
    member = Member(http_port=30000, gpu_indices=(0,), api_key="sk-secret")
    launch = ServerLaunch(model="/models/tiny", served_name="tiny")
    command = load_adapter("sglang").command(launch, member, "0.5.23", sys.executable)
    env = {name: value for name, value in os.environ.items() if "KEY" not in name}
    env |= {**command.env, "PYTHONPATH": str(tmp_path)}
    ran = subprocess.run(command.argv, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout)
    assert said["arguments"][:2] == ["--model-path", "/models/tiny"]
    assert said["arguments"][-2:] == ["--api-key", "sk-secret"]
    assert not any("sk-secret" in argument for argument in said["command_line"])
    assert said["environment"] == []
    assert said["worker"] != "__main__"
