"""The fake engine does what the tests that use it rely on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fake_engine.python import control, end_engine_processes, engine_processes, fake_python, set_version
from tests.ray.real_ray import free_port

PATIENCE_S = 20.0


class Started:
    """A fake server that a test started."""

    def __init__(self, python: Path, port: int, *arguments: str, env: dict[str, str] | None = None) -> None:
        self.port = port
        self.log = python.parents[1] / f"log-{time.monotonic_ns()}"
        module = ["-m", "vllm.entrypoints.cli.main", "serve"]
        common = ["model", "--host", "127.0.0.1", "--port", str(port), "--served-model-name", "m"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [python, *module, *common, *arguments],
                stdout=log,
                stderr=log,
                env={**os.environ, **(env or {})},
            )

    def ask(self, path: str = "/v1/completions", timeout_s: float = 10.0, **body: Any) -> tuple[int, str]:
        """Return status and text; a GET without a body."""
        data = json.dumps({"model": "m", **body}).encode() if body else None
        headers = {"content-type": "application/json", "authorization": "Bearer key"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, headers)
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def wait_listening(self) -> None:
        until(self._listens, self.log)

    def _listens(self) -> bool:
        assert self.process.poll() is None, self.log.read_text(errors="replace")
        try:
            return self.ask("/health")[0] == 200
        except OSError:
            return False


def until(is_true: Callable[[], bool], log: Path) -> None:
    ends_s = time.monotonic() + PATIENCE_S
    while not is_true():
        assert time.monotonic() < ends_s, log.read_text(errors="replace")
        time.sleep(0.02)


@pytest.fixture
def python(tmp_path: Path) -> Iterator[Path]:
    made = fake_python(tmp_path / "engine", load_s=0.0)
    yield made
    end_engine_processes(made)


def version_of(python: Path, package: str = "vllm") -> str:
    program = f"import importlib.metadata as m; print(m.version({package!r}))"
    done = subprocess.run([python, "-I", "-c", program], capture_output=True, text=True, timeout=PATIENCE_S)
    return done.stdout.strip()


def test_its_metadata_and_program_name_the_version(python: Path) -> None:
    assert version_of(python) == "0.32.0"
    set_version(python, "0.31.1")
    assert version_of(python) == "0.31.1"
    shown = subprocess.run([python.parent / "vllm", "--version"], capture_output=True, text=True)
    assert shown.stdout.strip() == "0.31.1"


def test_it_answers_and_counts(python: Path) -> None:
    server = Started(python, free_port(), "--max-model-len", "64", "-tp", "2")
    server.wait_listening()
    status, text = server.ask(prompt=[1, 2, 3], max_tokens=4)
    answer = json.loads(text)
    assert (status, answer["usage"]["completion_tokens"]) == (200, 4)
    assert answer["choices"][0]["text"] == " t0 t1 t2 t3"
    assert answer["fake"]["request"]["prompt"] == [1, 2, 3]
    streamed = server.ask(prompt="a", max_tokens=3, stream=True, stream_options={"include_usage": True})[1]
    events = [line.removeprefix("data: ") for line in streamed.split("\n") if line]
    assert (len(events), events[-1]) == (5, "[DONE]")
    assert json.loads(events[3])["usage"]["completion_tokens"] == 3
    assert server.ask(prompt="a", max_tokens=64)[0] == 400
    assert server.ask(prompt="a", model="other")[0] == 404
    metrics = server.ask("/metrics")[1]
    assert 'vllm:generation_tokens_total{engine="0",model_name="m"} 7.0' in metrics
    assert "Maximum concurrency for 64 tokens per request" in server.log.read_text()
    assert [process.role for process in engine_processes(python)] == ["server", "core", "worker", "worker"]


def test_it_refuses_an_unknown_option_as_argparse_does(python: Path) -> None:
    server = Started(python, free_port(), "--tensor-parallel", "2")
    assert server.process.wait(PATIENCE_S) == 2
    assert "error: unrecognized arguments: --tensor-parallel" in server.log.read_text()


def test_an_older_release_refuses_what_came_later(python: Path) -> None:
    set_version(python, "0.10.2")
    server = Started(python, free_port(), "-tp", "1", "--nnodes", "1")
    assert server.process.wait(PATIENCE_S) == 2
    assert "error: unrecognized arguments: --nnodes" in server.log.read_text()


def test_it_asks_for_its_key(python: Path) -> None:
    server = Started(python, free_port(), env={"VLLM_API_KEY": "another"})
    server.wait_listening()
    assert server.ask(prompt="a")[0] == 401


def test_a_killed_server_leaves_its_core_and_workers(python: Path) -> None:
    server = Started(python, free_port(), "-tp", "2")
    server.wait_listening()
    server.process.kill()
    server.process.wait()
    time.sleep(0.5)
    assert [process.role for process in engine_processes(python)] == ["core", "worker", "worker"]


def test_sigterm_ends_all_of_it(python: Path) -> None:
    server = Started(python, free_port(), "-tp", "2")
    server.wait_listening()
    server.process.terminate()
    assert server.process.wait(PATIENCE_S) == 0
    until(lambda: not engine_processes(python), server.log)


def test_a_lost_worker_ends_the_server(python: Path) -> None:
    server = Started(python, free_port(), "-tp", "2")
    server.wait_listening()
    # A worker notes down itself, maybe after the server listens.
    until(lambda: len(engine_processes(python, "worker")) == 2, server.log)
    os.kill(engine_processes(python, "worker")[1].pid, signal.SIGKILL)
    assert server.process.wait(PATIENCE_S) == 1


def test_two_nodes_and_the_lie_of_a_lost_one(python: Path) -> None:
    port, master = free_port(), str(free_port())
    both = ("-tp", "2", "--nnodes", "2", "--master-addr", "127.0.0.1", "--master-port", master)
    leader = Started(python, port, *both, "--node-rank", "0")
    with pytest.raises(OSError):
        leader.ask("/health", timeout_s=0.5)
    follower = Started(python, 0, *both, "--node-rank", "1", "--headless")
    leader.wait_listening()
    assert leader.ask(prompt="a")[0] == 200
    until(lambda: {process.rank for process in engine_processes(python, "worker")} == {0, 1}, leader.log)
    follower.process.kill()
    follower.process.wait()
    assert leader.ask("/health")[0] == 200
    assert leader.ask(prompt="a")[0] == 500
    until(lambda: leader.process.poll() is not None, leader.log)


def test_silent_and_dead_at_run_time(python: Path) -> None:
    server = Started(python, free_port())
    server.wait_listening()
    control(python, dead_rank=True)
    assert (server.ask(prompt="a")[0], server.ask("/health")[0]) == (500, 200)
    control(python, dead_rank=False, silent=True)
    with pytest.raises(TimeoutError):
        server.ask(prompt="a", timeout_s=0.5)
    assert server.ask("/health")[0] == 200
    control(python, silent=False)
    assert server.ask(prompt="a")[0] == 200


@pytest.mark.parametrize(
    ("death", "status", "said"),
    [
        ("loading", 1, "RuntimeError: made to fail while loading"),
        ("killed", -9, "Loading safetensors"),
        ("oom", 1, "CUDA out of memory"),
        ("import", 1, "ImportError: libcudart"),
        ("unsupported", 1, "are not supported for now"),
        ("port", 1, "Address already in use"),
    ],
)
def test_deaths_at_the_start(python: Path, death: str, status: int, said: str) -> None:
    control(python, die=death, die_starts=1)
    port = free_port()
    server = Started(python, port)
    assert server.process.wait(PATIENCE_S) == status
    assert said in server.log.read_text()
    second = Started(python, port)
    second.wait_listening()
    assert second.ask(prompt="a")[0] == 200


def test_noise_does_not_hide_the_lines_that_matter(python: Path) -> None:
    control(python, noise="escapes,bytes,long,carriage")
    server = Started(python, free_port())
    server.wait_listening()
    log = server.log.read_bytes()
    assert len(log) > 1_000_000
    assert b"\x1b[2J" in log
    assert b"\xff\xfe" in log
    assert b"GPU KV cache size" in log


def test_sglang(tmp_path: Path) -> None:
    python = fake_python(tmp_path / "sglang", engine="sglang", load_s=0.0)
    port = free_port()
    log = tmp_path / "log"
    assert version_of(python, "sglang") == "0.5.23"
    arguments = ["--model-path", "model", "--served-model-name", "m", "--port", str(port), "--tp", "2"]
    with log.open("wb") as out:
        process = subprocess.Popen([python, "-m", "sglang.launch_server", *arguments], stdout=out, stderr=out)
    try:
        until(lambda: "fired up" in log.read_text(), log)
        body = json.dumps({"model": "m", "prompt": "a", "max_tokens": 2}).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/completions", body, timeout=10) as answer:
            assert json.load(answer)["choices"][0]["text"] == " t0 t1"
        assert "max_total_num_tokens=" in log.read_text()
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
        end_engine_processes(python)


def test_it_needs_the_standard_library_only(python: Path) -> None:
    program = "import vllm.server, sglang.launch_server, sys; print(*sorted(sys.modules))"
    done = subprocess.run(
        [python, "-c", program], capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )
    roots = {name.partition(".")[0] for name in done.stdout.split()}
    ours = {"vllm", "sglang", "fake_server"}
    known = sys.stdlib_module_names | ours
    assert {root for root in roots - known if not root.startswith("_")} == set()
