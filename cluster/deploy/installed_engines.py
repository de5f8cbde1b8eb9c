"""Looks up which engines this machine has, from package metadata: importing one takes seconds and a GPU.

Standard library only: it runs on nodes whose Python may lack any package. Texts are cut, not cleaned.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

LOOK_S = 20.0
"""How long an interpreter may take: it may lie on a slow network disk."""
_MOST_BYTES = 64 * 1024
_LONGEST_VERSION, _LONGEST_LINE = 60, 120
_INHERITED_NEVER = ("PYTHON", "RAY_", "VIRTUAL_ENV", "__PYVENV")
"""Prefixes of variables that belong to the Python of this process, and would mislead another one."""
_ASK = """
import json, sys
from importlib.metadata import version
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = version(name)
    except Exception:
        pass
print(json.dumps(found))
"""


@dataclass(frozen=True, slots=True)
class Installed:
    """What an interpreter has of the packages that it was asked for."""

    versions: dict[str, str] = field(default_factory=dict)
    """Package -> version."""
    problem: str = ""
    """Why it could not be asked: '/opt/vllm/bin/python does not exist'."""


def installed_packages(python: str, packages: Iterable[str], limit_s: float = LOOK_S) -> Installed:
    """Ask the interpreter at `python` which versions of `packages` it has; at most for `limit_s`."""
    path = Path(python)
    try:
        if not path.exists():
            return Installed(problem=f"{python} does not exist")
        if not path.is_file() or not os.access(path, os.X_OK):
            return Installed(problem=f"{python} is not an executable file")
        status, answer, errors = _run([python, "-c", _ASK, *packages], limit_s)
    except OSError as error:
        return Installed(problem=f"{python} cannot be started ({error.strerror or error})")
    if status is None:
        return Installed(problem=f"{python} gave no answer within {limit_s:.0f} s")
    versions = _read(answer)
    if status or versions is None:
        lines = [line.strip() for line in errors.splitlines() if line.strip()]
        said = f": {lines[-1][:_LONGEST_LINE]}" if lines else ""
        return Installed(problem=f"{python} is not a Python that can look up its packages{said}")
    return Installed(versions)


def _run(command: list[str], limit_s: float) -> tuple[int | None, str, str]:
    """Return (status, stdout, stderr), both cut; the status is None when it took too long and was ended."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            cwd="/",
            env=plain_environment(os.environ),
            start_new_session=True,
        )
        try:
            status: int | None = child.wait(limit_s)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            # Also what a wrapper script left behind.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        return status, _start_of(out), _start_of(err)


def _start_of(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read(_MOST_BYTES).decode("utf-8", "replace")


def plain_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without what belongs to this process's own Python and Ray."""
    return {name: value for name, value in environment.items() if not name.startswith(_INHERITED_NEVER)}


def _read(answer: str) -> dict[str, str] | None:
    """Return the versions in the last line of an interpreter's answer; None where it is not one."""
    lines = answer.strip().splitlines()
    try:
        found = json.loads(lines[-1]) if lines else None
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    return {name: text[:_LONGEST_VERSION] for name, text in found.items() if isinstance(text, str) and text}


@dataclass(frozen=True, slots=True)
class EngineAsked:
    """An engine to look for: the names of its packages, and the interpreter that should have one of them."""

    name: str
    packages: tuple[str, ...]
    python: str | None = None
    """None: the interpreter that asks."""


def installed_engines(engines: Iterable[EngineAsked], limit_s: float = LOOK_S) -> Installed:
    """Look up engines, asking each interpreter once; `versions` is by engine instead of package."""
    wanted: dict[str, list[EngineAsked]] = {}
    for engine in engines:
        wanted.setdefault(engine.python or sys.executable, []).append(engine)
    versions: dict[str, str] = {}
    problems = []
    for python, asked in wanted.items():
        found = installed_packages(python, [name for engine in asked for name in engine.packages], limit_s)
        if found.problem:
            problems.append(found.problem)
        for engine in asked:
            version = next((found.versions[name] for name in engine.packages if name in found.versions), None)
            if version is not None:
                versions[engine.name] = version
    return Installed(versions, "; ".join(problems))
