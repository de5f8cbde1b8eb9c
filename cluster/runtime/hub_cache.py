"""Finds checkpoints in this machine's Hugging Face cache, without the hub's library. Downloads nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster.runtime.checkpoint_files import checkpoint_problem, tokenizer_problem


@dataclass(frozen=True, slots=True)
class CachedModel:
    """A complete snapshot of a model in the cache, or the `problem` why there is none."""

    path: str | None = None
    revision: str | None = None
    """Commit of the snapshot."""
    problem: str = ""
    """A phrase to put after the model's name: 'is not in the hub cache /root/.cache/huggingface/hub'."""


def hub_cache(environment: Mapping[str, str] | None = None) -> Path:
    """Return the folder where the hub's library keeps models; reads the same environment variables."""
    given = os.environ if environment is None else environment
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if given.get(name):
            return Path(given[name]).expanduser()
    if given.get("HF_HOME"):
        return Path(given["HF_HOME"]).expanduser() / "hub"
    base = Path(given["XDG_CACHE_HOME"]) if given.get("XDG_CACHE_HOME") else Path("~/.cache")
    return base.expanduser() / "huggingface" / "hub"


def find_cached(
    hub_id: str,
    revision: str | None = None,
    cache: Path | None = None,
    *,
    with_weights: bool = True,
    check: Callable[[Path], str] | None = None,
) -> CachedModel:
    """Return the complete snapshot of `hub_id`, at `revision` if one is given.

    Without a revision this is `main` if that is complete, else the newest complete one: reading only a config
    from the hub moves `main` to a snapshot without weights. `with_weights=False` asks for a tokenizer only,
    which is all that a router needs. `check` says what a snapshot lacks for another engine than the built-in.
    """
    cache = cache or hub_cache()
    check = check or (checkpoint_problem if with_weights else tokenizer_problem)
    try:
        snapshots = list(_snapshots(cache / f"models--{hub_id.replace('/', '--')}", revision))
    except OSError as error:
        return CachedModel(problem=f"cannot be read in the hub cache {cache} ({error.strerror})")
    problems = []
    for snapshot in snapshots:
        problem = check(snapshot)
        if not problem:
            return CachedModel(str(snapshot), snapshot.name)
        problems.append(f"is incomplete in the hub cache: {problem}")
    missing = f"is not in the hub cache {cache}{f' as revision {revision}' if revision else ''}"
    return CachedModel(problem=problems[0] if problems else missing)


def _snapshots(repository: Path, revision: str | None) -> Iterator[Path]:
    """Yield the snapshots of a repository, `main` first, then newest first."""
    folder = repository / "snapshots"
    if not folder.is_dir():
        return
    found = [entry for entry in folder.iterdir() if entry.is_dir()]
    main = repository / "refs" / "main"
    first = main.read_text(encoding="utf-8").strip() if main.is_file() else ""
    found.sort(key=lambda entry: (entry.name != first, -entry.stat().st_mtime))
    yield from (entry for entry in found if revision in (None, entry.name))
