"""Measurements on disk, one file each, in a folder that outlives clusters: load tests and calibrations.

A file begins with a mark and holds one JSON object. Only files with the mark are replaced or removed.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from cluster.bridge.state.folder import (
    create_marked,
    existing_state_dir,
    in_state_dir,
    lasting_path,
    read_marked,
    slug,
)
from cluster.errors import SystemFailed, system_failed
from cluster.frozen import FrozenModel
from cluster.load.result import LoadResult

_SUFFIX, _DRAFT = ".measured", ".measuring"
_MARK = b"clusterview measurement 1\n"
_MOST_BYTES = 4 * 1024**2
_LOAD_KEPT_S = 90 * 24 * 3600.0
_LONGEST_NAME = 120

Kept = TypeVar("Kept", bound=FrozenModel)


def is_our_measurement(path: Path) -> bool:
    """True for a file that was written here: by its name, and by how it begins."""
    return path.suffix in (_SUFFIX, _DRAFT) and read_marked(path, _MARK, len(_MARK)) is not None


def keep(kind: str, name: str, value: FrozenModel) -> Path:
    """Write a measurement in the place of an earlier one of this kind and name; returns its path.

    Raises SystemFailed where the disk refuses it, or where a file lies there that is not ours.
    """
    path = _path(kind, name)
    if os.path.lexists(path) and not is_our_measurement(path):
        raise SystemFailed(f"{path} was not written by clusterview", "Move it away")
    draft = path.with_name(f"{kind}-{os.getpid()}-{secrets.token_hex(4)}{_DRAFT}")
    content = _MARK + value.model_dump_json().encode()
    try:
        os.close(in_state_dir(lambda folder: create_marked(folder / draft.name, content), path.parent))
        draft.rename(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise system_failed(f"cannot write {path}", error) from None
    return path


def find(kind: str, name: str, of: type[Kept]) -> Kept | None:
    """Return the measurement of this kind and name; None where there is none that can be read."""
    return _read(_path(kind, name), of) if existing_state_dir(lasting_path()) is not None else None


def find_all(kind: str, of: type[Kept]) -> list[Kept]:
    """Return every measurement of a kind that can be read."""
    found = (_read(path, of) for path in _files(kind))
    return [value for value in found if value is not None]


def keep_load(result: LoadResult) -> Path:
    """Keep the last load test of a deployment; those of 90 days ago are removed."""
    for path in _files("load"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _LOAD_KEPT_S and is_our_measurement(path):
                path.unlink()
    return keep("load", f"{result.cluster}-{result.name}", result)


def last_load(cluster: str, name: str) -> LoadResult | None:
    """Return the last load test of a deployment; `cluster` is the title of its cluster."""
    found = find("load", f"{cluster}-{name}", LoadResult)
    return found if found is not None and (found.cluster, found.name) == (cluster, name) else None


def _path(kind: str, name: str) -> Path:
    return lasting_path() / f"{kind}-{slug(name)[:_LONGEST_NAME]}{_SUFFIX}"


def _files(kind: str) -> Iterator[Path]:
    folder = existing_state_dir(lasting_path())
    with contextlib.suppress(FileNotFoundError):
        yield from sorted(folder.glob(f"{kind}-*{_SUFFIX}")) if folder is not None else ()


def _read(path: Path, of: type[Kept]) -> Kept | None:
    content = read_marked(path, _MARK, _MOST_BYTES)
    if content is None:
        return None
    try:
        return of.model_validate_json(content.removeprefix(_MARK))
    except ValidationError:
        return None
