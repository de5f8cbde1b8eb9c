"""Check a node for what a deployment needs. Runs on it, in its ranks' Python; standard library only.

It must not import any package, since it has to find out which are missing.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from cluster.deploy.engine_checkpoint import servable_problem
from cluster.deploy.installed_engines import EngineAsked, installed_packages
from cluster.runtime.checkpoint_files import checkpoint_problem, tokenizer_problem
from cluster.runtime.hub_cache import find_cached

IMPORT_S = 45.0
"""How long importing torch may take before the check leaves it to the rank: network disks are slow."""
_SHARED_MEMORY = "/dev/shm"
_SAY_BUILD = "import torch; print(torch.__version__, torch.version.cuda, torch.version.hip, sep='|')"


@dataclass(frozen=True, slots=True)
class NodeQuestion:
    """What to check on one node."""

    packages: tuple[str, ...]
    imports_torch: bool = False
    """Import torch, in its own process, and report how it was built."""
    folder: str | None = None
    hub_id: str | None = None
    revision: str | None = None
    checks_weights: bool = False
    """All weight files are needed here; otherwise only the tokenizer."""
    engine: EngineAsked | None = None
    """The engine that starts its own server here; None: the built-in engine."""
    engine_version: str = ""
    """What the layout was planned for."""
    shared_memory_bytes: int = 0
    """Room that is needed in /dev/shm; 0: none."""
    host: str = "127.0.0.1"
    port: int = 0
    """Port of `host` that must be free; 0: none."""


@dataclass(frozen=True, slots=True)
class NodeNeeds:
    """A node of an order, and what to ask it."""

    node_id: str
    name: str
    question: NodeQuestion
    has_ranks: bool


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """The answers."""

    python: str
    """Path of the interpreter."""
    python_version: str
    versions: dict[str, str | None] = field(default_factory=dict)
    """Package -> version, None where it is missing."""
    torch_error: str = ""
    """Why torch cannot be imported."""
    torch_cuda: str | None = None
    """CUDA version that torch was built with; '' for none, None where it was not asked."""
    weights_folder: str | None = None
    revision: str | None = None
    weights_problem: str = ""
    has_tokenizer: bool = False
    engine_python: str = ""
    """Interpreter that was asked for the engine."""
    engine_version: str | None = None
    """Version that is installed; None: the engine is missing, or was not asked for."""
    engine_problem: str = ""
    """Why the interpreter could not be asked."""
    shared_memory_bytes: int | None = None
    """Free in /dev/shm; None where there is none."""
    port_taken: bool = False


def look_at_node(question: NodeQuestion) -> NodeFacts:
    """Answer `question` for this machine and this Python."""
    versions = {package: version_of(package) for package in question.packages}
    error, cuda = "", None
    if question.imports_torch and versions.get("torch") is not None:
        error, cuda = _torch_build()
    folder, revision, problem = _weights(question)
    python, engine_version, engine_problem = _engine(question)
    return NodeFacts(
        python=sys.executable,
        python_version=platform.python_version(),
        versions=versions,
        torch_error=error,
        torch_cuda=cuda,
        weights_folder=folder,
        revision=revision,
        weights_problem=problem,
        has_tokenizer=folder is not None and not tokenizer_problem(Path(folder)),
        engine_python=python,
        engine_version=engine_version,
        engine_problem=engine_problem,
        shared_memory_bytes=_shared_memory_bytes(),
        port_taken=question.port > 0 and not _is_free(question.host, question.port),
    )


def version_of(package: str) -> str | None:
    """Return the version of an importable package, '?' if it has none; None: it is missing."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None:
        return None
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "?"


def _torch_build() -> tuple[str, str | None]:
    """Return why torch cannot be imported ('' when it can), and its CUDA version. CUDA is not touched."""
    program = [sys.executable, "-P", "-c", _SAY_BUILD]
    try:
        done = subprocess.run(program, capture_output=True, text=True, timeout=IMPORT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "", None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        return (lines[-1] if lines else f"its import ended with status {done.returncode}"), None
    _, cuda, _ = done.stdout.strip().splitlines()[-1].split("|")
    return "", "" if cuda == "None" else cuda


def _weights(question: NodeQuestion) -> tuple[str | None, str | None, str]:
    """Return (folder, revision, what is wrong with it) of the model on this machine."""
    if question.engine is not None:
        return _servable(question)
    if question.folder is not None:
        problem = checkpoint_problem(Path(question.folder)) if question.checks_weights else ""
        return question.folder, None, problem
    if question.hub_id is None:
        return None, None, ""
    found = find_cached(question.hub_id, question.revision, with_weights=question.checks_weights)
    return found.path, found.revision, found.problem


def _servable(question: NodeQuestion) -> tuple[str | None, str | None, str]:
    """Return the same of a model that an engine's own server loads; with dummy weights it needs the rest."""
    check = partial(servable_problem, with_weights=question.checks_weights)
    if question.folder is not None:
        return question.folder, None, check(Path(question.folder))
    if question.hub_id is None:
        return None, None, ""
    found = find_cached(question.hub_id, question.revision, check=check)
    return found.path, found.revision, found.problem


def _engine(question: NodeQuestion) -> tuple[str, str | None, str]:
    """Return (interpreter, version, why it could not be asked) of the engine on this machine."""
    engine = question.engine
    if engine is None:
        return "", None, ""
    python = engine.python or sys.executable
    found = installed_packages(python, engine.packages)
    version = next((found.versions[name] for name in engine.packages if name in found.versions), None)
    return python, version, found.problem


def _shared_memory_bytes() -> int | None:
    try:
        room = os.statvfs(_SHARED_MEMORY)
    except OSError:
        return None
    return room.f_bavail * room.f_frsize


def _is_free(host: str, port: int) -> bool:
    """Return whether a service could listen there; an address that is not this machine's is no free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError:
            return False
    return True
