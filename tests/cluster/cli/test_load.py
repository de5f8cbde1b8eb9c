"""`clusterview load` as a command, against an endpoint in a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.cli.main import main

ROOT = Path(__file__).resolve().parents[3]
LOAD = [sys.executable, "-m", "tui", "load"]
SHORT = ["--num-prompts", "4", "--random-input-len", "8", "--random-output-len", "3"]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tests.cluster.load.paced_server", str(port)]
    with subprocess.Popen(command, cwd=ROOT) as server:
        until_s = time.monotonic() + 30
        while time.monotonic() < until_s:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/v1"
        server.terminate()


def load(*arguments: str, state: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "CLUSTERVIEW_STATE_DIR": str(state), "NO_COLOR": "1"}
    return subprocess.run(
        [*LOAD, *arguments], capture_output=True, text=True, env=environment, timeout=60, check=False
    )


def test_the_result_as_text_and_as_json(url: str, tmp_path: Path) -> None:
    done = load("--url", url, *SHORT, "--metric-percentiles", "95", state=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[1] == "4 requests, all at once, 8 tokens in, 3 out; random token ids 33 to 126"
    assert lines[2].split() == ["mean", "p95"]
    assert [line.split()[0] for line in lines[3:7]] == ["TTFT", "TPOT", "between", "E2E"]
    assert "4 requests answered" in done.stdout and "no prediction" in done.stdout
    done = load("--url", url, *SHORT, "--json", state=tmp_path)
    found = json.loads(done.stdout)
    assert found["requests_done"] == 4 and found["output_tokens"] == 12
    assert found["ttft_s"]["mean"] >= 0.05 and found["predicted"] is None
    assert list(tmp_path.iterdir()) == [], "a URL's result is not kept: no report could name it"


def test_ctrl_c_prints_what_was_measured(url: str, tmp_path: Path) -> None:
    environment = {**os.environ, "CLUSTERVIEW_STATE_DIR": str(tmp_path)}
    command = [
        *LOAD,
        "--url",
        url,
        "--num-prompts",
        "100000",
        "--max-concurrency",
        "2",
        "--random-output-len",
        "4",
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if " answered, " in line:
                break
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=30)
    assert process.returncode == 130
    assert re.search("interrupted with [012] in flight", out) and "TTFT" in out and "Traceback" not in error


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["--url", "URL", "--random-input-len", "5000"], 2, "exceed the endpoint's context of 4,096"),
        (["--url", "URL", "--model", "other"], 2, "does not serve other. It serves paced"),
        (["--url", "http://127.0.0.1:1/v1"], 2, "refused"),
        (["--url", "ftp://x"], 2, "is not a URL"),
        (["name", "--url", "URL"], 2, "cannot be combined"),
        (["--request-rate", "0"], 2, "requests per second"),
        (["--random-range-ratio", "1"], 2, "ratio"),
        (["--metric-percentiles", "101"], 2, "percentiles"),
        (["--percentile-metrics", "ttft,x"], 2, "other figures"),
        ([], 2, "no deployment is running"),
        (["gone"], 2, "there is no deployment named gone"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    arguments: list[str],
    status: int,
    says: str,
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CLUSTERVIEW_STATE_DIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert main(["load", *(url if part == "URL" else part for part in arguments)]) == status
    out, error = capsys.readouterr()
    assert len(error.splitlines()) == 1 and says in error and not out
