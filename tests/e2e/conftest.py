"""A separate state folder, and a tiny checkpoint made by transformers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.runtime.checkpoints import make_checkpoint
from tests.ray.support import wait_until


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Environment of the commands. Checks that no process started with it is left afterwards."""
    folder = tmp_path_factory.mktemp("state")
    kept = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    changed = {**kept, "CLUSTERVIEW_STATE_DIR": str(folder), "RAY_USAGE_STATS_ENABLED": "0"}
    yield changed
    # A test that fails halfway must not leave processes running.
    subprocess.run([sys.executable, "-m", "tui", "stop", "--all"], env=changed, timeout=90, check=False)
    assert wait_until(lambda: not processes_with(str(folder)), 20), processes_with(str(folder))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in Hugging Face form: eight heads over four KV heads, three layers."""
    return make_checkpoint(tmp_path_factory.mktemp("tiny-llama"), "LlamaForCausalLM", vocab_size=256)


def processes_with(marker: str) -> list[str]:
    """Return the command lines of running processes whose environment contains `marker`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if marker.encode() in (entry / "environ").read_bytes():
                    found.append(
                        (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    )
            except OSError:
                continue
    return [command for command in found if command]
