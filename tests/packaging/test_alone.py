"""Installed with pydantic alone: what works, and the one line for what does not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.packages import requirement
from tests.packaging.installed import ROOT, Installed

PLAN = ("--dry-run", "--model", "llama-3.1-70b", "--cluster", "2x4xA100-80GB")


def test_a_plan_needs_pydantic_alone(installed: Installed) -> None:
    done = installed.run(*PLAN)
    assert (done.returncode, done.stderr) == (0, "") and "TP=4, DP=2" in done.stdout
    answer = json.loads(installed.run(*PLAN, "--json").stdout)
    assert answer["recommended"]["layout"]["tp"] == 4


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("--help",), 0, "usage: clusterview"),
        (("--version",), 0, "clusterview 0"),
        (("status",), 0, "no deployment is running"),
        (("status", "--json"), 0, '"deployments": []'),
        (("stop", "--all"), 0, ""),
        (("snapshot", "--cluster", "1xL4"), 0, '"nodes"'),
    ],
)
def test_these_work(installed: Installed, arguments: tuple[str, ...], status: int, words: str) -> None:
    done = installed.run(*arguments)
    assert done.returncode == status, done.stderr
    assert words in done.stdout and "Traceback" not in done.stderr


def test_the_doctor_says_what_is_missing_and_how_to_get_it(installed: Installed) -> None:
    done = installed.run("doctor", "--cluster", "1xL4", "--json")
    findings = {one["subject"]: one for one in json.loads(done.stdout)["findings"]}
    assert done.returncode == 2 and done.stderr == ""
    for package in ("ray", "torch", "textual"):
        assert findings[package]["state"] in ("fail", "warn")
        assert f"-m pip install '{requirement(package)}'" in findings[package]["told"]
    assert findings["cluster"]["state"] == "ok"


@pytest.mark.parametrize(
    ("arguments", "package"),
    [
        (("status", "--address", "127.0.0.1:1"), "ray"),
        (("--dry-run", "--address", "127.0.0.1:1"), "ray"),
        (("deploy", "--address", "127.0.0.1:1", "--model", "llama-3.2-1b"), "ray"),
        (("snapshot", "--address", "127.0.0.1:1"), "ray"),
        (("--dry-run", "--cluster", "1xH100", "--model", "PATTERNS"), "re2"),
    ],
)
def test_what_needs_a_package_says_in_one_line_how_to_get_it(
    installed: Installed, arguments: tuple[str, ...], package: str, tmp_path: Path
) -> None:
    (tmp_path / "PATTERNS.json").write_text(json.dumps(WITH_PATTERNS))
    arguments = tuple(word.replace("PATTERNS", str(tmp_path / "PATTERNS.json")) for word in arguments)
    done = installed.run(*arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1), done.stderr
    assert f"{installed.folder}/bin/python" in done.stderr
    assert f"-m pip install '{requirement(package)}'" in done.stderr


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_deploying_here_names_all_that_is_missing_at_once(
    installed: Installed, more: tuple[str, ...]
) -> None:
    done = installed.run("deploy", *more, "--simulate", "1xL4", "--model", "llama-3.2-1b")
    line = next(line for line in (done.stdout + done.stderr).splitlines() if "pip install" in line)
    assert done.returncode == 1 and done.stderr.count("\n") == (0 if more else 1), done.stderr
    for package in ("ray", "torch", "starlette", "uvicorn", "prometheus_client"):
        assert f"'{requirement(package)}'" in line


def test_without_even_pydantic_there_is_one_line() -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tui.__main__ import main; sys.exit(main())"
    )
    # -S leaves out site-packages.
    command = [sys.executable, "-S", "-c", program, *PLAN]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1), done.stderr
    assert "the Python package pydantic is not installed. Run: " in done.stderr


WITH_PATTERNS = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_hidden_layers": 2,
    "vocab_size": 128,
    "max_position_embeddings": 4096,
    "torch_dtype": "bfloat16",
    "quantization_config": {
        "quant_method": "fp8",
        "activation_scheme": "dynamic",
        "ignored_layers": ["re:.*down_proj"],
    },
}
