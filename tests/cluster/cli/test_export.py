"""`clusterview export` as a user runs it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from cluster.cli.main import main
from tests.cluster.cli.run_clusterview import one_line_error, run_clusterview
from tests.test_imports import HEAVY, loaded_by

PLAN = ("--model", "llama-3.1-8b", "--cluster", "1x2xH100")


def test_the_recommended_layout_goes_to_stdout() -> None:
    done = run_clusterview("export", "--format", "vllm", *PLAN, "--tp", "2")
    assert done.returncode == 0 and done.stderr == ""
    (line,) = [one for one in done.stdout.splitlines() if one and not one.startswith("#")]
    assert " vllm serve meta-llama/Llama-3.1-8B " in line and "--tensor-parallel-size 2 " in line


@pytest.mark.parametrize("format_name", ["vllm", "kuberay"])
def test_an_export_imports_nothing_heavy(format_name: str) -> None:
    program = f"""
import contextlib, io
from tui.__main__ import main
with contextlib.redirect_stdout(io.StringIO()) as out:
    assert main(["export", "--format", "{format_name}", *{PLAN!r}]) == 0
assert "Llama-3.1-8B" in out.getvalue()
"""
    assert not loaded_by(program) & set(HEAVY)


def test_other_layouts_are_chosen_by_their_number(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--format", "vllm", *PLAN, "--layout", "2"]) == 0
    second = capsys.readouterr().out
    assert main(["export", "--format", "vllm", *PLAN]) == 0
    assert second.splitlines()[0] != capsys.readouterr().out.splitlines()[0]
    assert main(["export", "--format", "vllm", *PLAN, "--layout", "99"]) == 2
    assert "--layout 99: the plan has" in capsys.readouterr().err


def test_a_file_is_written_once_and_replaced_only_by_force(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "serve.yaml"
    command = ["export", "--format", "ray-serve", *PLAN, "--output", str(path)]
    assert main(command) == 0
    written = path.read_text()
    assert yaml.safe_load(written)["applications"] and f"wrote {path}" in capsys.readouterr().err
    path.write_text("mine")
    assert main(command) == 2
    assert path.read_text() == "mine" and "--force" in capsys.readouterr().err
    assert main([*command, "--force"]) == 0
    assert path.read_text() == written


def test_nothing_that_fits_is_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--format", "lws", "--model", "llama-3.1-405b", "--cluster", "1xL4"]) == 1
    found = capsys.readouterr()
    assert found.out == "" and "no layout fits. closest is" in found.err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "--format"),
        (("--format", "helm"), "choose from"),
        (("--format", "vllm", "--engine", "sglang"), "--format vllm starts vllm"),
        (("--format", "vllm", "--workload", "training"), "a plan for training cannot be exported"),
        (("--format", "vllm", "--layout", "0"), "--layout"),
        (("--format", "vllm", "--engine-version", "0.9.2", "--kv-cache-memory-bytes", "8Gi"), "0.9.2 has no"),
        (("--format", "vllm", "--output", "/nowhere/x"), "cannot write /nowhere/x"),
        (("--format", "vllm", "--json"), "--json"),
    ],
)
def test_bad_input_is_one_line(options: tuple[str, ...], says: str) -> None:
    assert says in one_line_error(run_clusterview("export", *options, *PLAN))


def test_a_full_disk_is_status_3() -> None:
    done = run_clusterview("export", "--format", "vllm", *PLAN, "--output", "/dev/full")
    assert done.returncode == 3 and "No space left" in done.stderr
