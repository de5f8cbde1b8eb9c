"""Makes interpreters that have a fake vLLM or SGLang installed, for `--engine-python`.

    python = fake_python(tmp_path / "engine", load_s=2.0)
    control(python, silent=True)            # from now on, for running servers too
    for process in engine_processes(python): ...

Behaviours are listed in `site/fake_server/behaviour.py`.
"""

from __future__ import annotations

import json
import os
import signal
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SITE = Path(__file__).parent / "site"
VERSIONS = {"vllm": "0.32.0", "sglang": "0.5.23"}


@dataclass(frozen=True)
class EngineProcess:
    """A living process of a fake engine."""

    pid: int
    role: str
    """'server', 'core' or 'worker'."""
    argv: tuple[str, ...]
    """Arguments of its server."""
    env: dict[str, str]
    """Environment of its server."""
    rank: int | None = None
    """A worker's rank within its server."""


def fake_python(folder: Path, *, engine: str = "vllm", version: str | None = None, **behaviour: Any) -> Path:
    """Make an environment in `folder`; return its interpreter. `bin` also has the engine's program."""
    venv.create(folder, with_pip=False, symlinks=True)
    packages = next((folder / "lib").glob("python*/site-packages"))
    # A plain line adds the folder without copying it.
    (packages / "fake_engine.pth").write_text(f"{SITE}\n")
    set_version(folder / "bin" / "python", version or VERSIONS[engine], engine)
    (folder / "processes").mkdir(exist_ok=True)
    python = folder / "bin" / "python"
    if engine == "vllm":
        program = folder / "bin" / "vllm"
        program.write_text(f"#!{python}\nfrom vllm.entrypoints.cli.main import main\n\nmain()\n")
        program.chmod(0o755)
    (folder / "behaviour.json").write_text("{}")
    control(python, **behaviour)
    return python


def set_version(python: Path, version: str, engine: str = "vllm") -> None:
    """Write the package metadata: `engine` is installed in this version. An empty version removes it."""
    packages = next((python.parents[1] / "lib").glob("python*/site-packages"))
    for old in packages.glob(f"{engine}-*.dist-info"):
        (old / "METADATA").unlink()
        old.rmdir()
    if version:
        made = packages / f"{engine}-{version}.dist-info"
        made.mkdir()
        (made / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {engine}\nVersion: {version}\n")


def control(python: Path, **changes: Any) -> None:
    """Change the behaviour of this interpreter's servers, those that run included."""
    from tests.fake_engine.site.fake_server.behaviour import Behaviour

    unknown = changes.keys() - Behaviour.__dataclass_fields__.keys()
    assert not unknown, f"no such behaviour: {sorted(unknown)}"
    path = python.parents[1] / "behaviour.json"
    values = {**json.loads(path.read_text()), **changes}
    new = path.with_suffix(".new")
    new.write_text(json.dumps(values))
    new.rename(path)


def engine_processes(python: Path, role: str = "") -> list[EngineProcess]:
    """Return the living processes of this interpreter's servers, oldest first, optionally of one role."""
    found = []
    for path in (python.parents[1] / "processes").glob("*.json"):
        record = json.loads(path.read_text())
        if record["started"] == start_ticks(record["pid"]) and role in ("", record["role"]):
            known = {name: record[name] for name in ("pid", "role", "env", "rank")}
            found.append((record["started"], EngineProcess(argv=tuple(record["argv"]), **known)))
    return [process for _, process in sorted(found, key=lambda pair: (pair[0], pair[1].pid))]


def start_ticks(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None for a zombie or none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def end_engine_processes(python: Path) -> None:
    """Kill what is left of this interpreter's servers."""
    for process in engine_processes(python):
        os.kill(process.pid, signal.SIGKILL)
