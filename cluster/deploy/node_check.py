"""Check a node for what a deployment needs. Runs on it, in its ranks' Python; standard library only.

It must not import any package, since it has to find out which are missing.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from cluster.runtime.checkpoint_files import checkpoint_problem, tokenizer_problem
from cluster.runtime.hub_cache import find_cached

IMPORT_S = 45.0
"""How long importing torch may take before the check leaves it to the rank: network disks are slow."""
_LOOPBACK = "127.0.0.1"
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
    port: int = 0
    """Loopback port that must be free; 0: none."""


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
    port_taken: bool = False


def look_at_node(question: NodeQuestion) -> NodeFacts:
    """Answer `question` for this machine and this Python."""
    versions = {package: version_of(package) for package in question.packages}
    error, cuda = "", None
    if question.imports_torch and versions.get("torch") is not None:
        error, cuda = _torch_build()
    folder, revision, problem = _weights(question)
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
        port_taken=question.port > 0 and not _is_free(question.port),
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
    if question.folder is not None:
        problem = checkpoint_problem(Path(question.folder)) if question.checks_weights else ""
        return question.folder, None, problem
    if question.hub_id is None:
        return None, None, ""
    found = find_cached(question.hub_id, question.revision, with_weights=question.checks_weights)
    return found.path, found.revision, found.problem


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((_LOOPBACK, port))
        except OSError:
            return False
    return True
