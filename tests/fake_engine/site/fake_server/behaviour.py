"""How the servers of an environment behave: read from its `behaviour.json` each time it matters."""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class Behaviour:
    """All behaviours; the defaults are those of a server in good health."""

    load_s: float = 0.15
    """Duration of the start, spread over its phases."""
    ttft_s: float = 0.0
    tpot_s: float = 0.0
    gpu_memory_bytes: int = 80 * 2**30
    die: str = ""
    """At the start: 'loading' (traceback, exit 1), 'killed' (SIGKILL while loading), 'oom' (CUDA out of
    memory), 'import' (ImportError), 'unsupported' (a model that it does not know), 'port' (in use)."""
    die_starts: int = 1_000_000
    """How many starts die; the next ones live."""
    silent: bool = False
    """Never answers a completion, while /health answers 200."""
    silent_health: bool = False
    """Does not answer /health either."""
    dead_rank: bool = False
    """Completions are answered with status 500, while /health answers 200; the server lives on."""
    fail_requests: int = 0
    """How many completions of users fail with status 503; the next ones succeed. Counted over all servers."""
    cut_after_tokens: int | None = None
    """Streams end without a last chunk after so many tokens."""
    hang_after_tokens: int | None = None
    """Streams stay silent after so many tokens."""
    exit_after_requests: int | None = None
    """The server kills itself in the middle of this request."""
    noise: str = ""
    """Printed at the start, separated by commas: 'escapes', 'bytes', 'long', 'carriage'."""
    ignore_sigterm: bool = False
    """No process of the server ends by SIGTERM."""
    double_fork: bool = False
    """Workers leave their parent, session and process group."""
    keep_serving_without_worker: bool = False
    """The server lives on when a worker dies, and answers completions with 500."""


ROOT = Path(sys.prefix)


def behaviour() -> Behaviour:
    """Return what the control file says now."""
    try:
        loaded = json.loads((ROOT / "behaviour.json").read_text())
    except OSError:
        loaded = {}
    known = {field.name for field in fields(Behaviour)}
    return Behaviour(**{name: value for name, value in loaded.items() if name in known})


def take_turn(name: str, most: int) -> bool:
    """Return whether this is one of the first `most` times that `name` happened in this environment."""
    folder = ROOT / "turns"
    folder.mkdir(exist_ok=True)
    for number in range(min(most, 10_000)):
        with contextlib.suppress(FileExistsError):
            (folder / f"{name}-{number}").touch(exist_ok=False)
            return True
    return False
