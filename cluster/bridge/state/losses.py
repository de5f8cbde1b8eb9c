"""Embedded clusters that were lost: recorded in the state folder, for `status` to report."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from cluster.bridge.state.folder import (
    create_marked,
    existing_state_dir,
    in_state_dir,
    read_marked,
    remove_if_empty,
    slug,
)
from cluster.frozen import FrozenModel
from cluster.text import CleanStr, clean

_SUFFIX = ".lost"
_MARK = b'{"mark":"clusterview loss 1"'
_KEPT_S = 24 * 3600.0
_DEPLOYMENTS = "deployments"


class ClusterLoss(FrozenModel):
    """A cluster that was lost, and what was running on it."""

    mark: Literal["clusterview loss 1"] = "clusterview loss 1"
    key: CleanStr
    ended_at_s: float
    reason: CleanStr
    deployments: tuple[CleanStr, ...] = ()


def note_deployments(temp_dir: str, names: list[str]) -> None:
    """Keep the deployment names in the cluster's folder, for when the cluster cannot be asked any more."""
    path = Path(temp_dir) / _DEPLOYMENTS
    draft = path.with_suffix(".draft")
    with contextlib.suppress(OSError):
        draft.write_text("\n".join(names))
        draft.replace(path)


def deployments_on(temp_dir: str) -> tuple[str, ...]:
    """Return what ran on the cluster in this folder when it was last noted."""
    with contextlib.suppress(OSError):
        return tuple(clean(name) for name in (Path(temp_dir) / _DEPLOYMENTS).read_text().split("\n") if name)
    return ()


def note_loss(key: str, reason: str, deployments: tuple[str, ...]) -> None:
    """Note a loss in the place of an earlier one of the same cluster; what the disk refuses is not noted."""
    loss = ClusterLoss(key=key, ended_at_s=time.time(), reason=reason, deployments=deployments)
    name = f"cluster-{slug(key)}{_SUFFIX}"

    def write(folder: Path) -> None:
        if is_our_loss(folder / name):
            (folder / name).unlink(missing_ok=True)
        os.close(create_marked(folder / name, loss.model_dump_json().encode()))

    with contextlib.suppress(OSError):
        in_state_dir(write)


def is_our_loss(path: Path) -> bool:
    """True for a note that was written here: by its name, and by what it holds."""
    return _read(path) is not None


def read_losses() -> list[ClusterLoss]:
    """Return the losses of the last day, latest first; older notes are removed."""
    folder = existing_state_dir()
    found = []
    for path in sorted(folder.glob(f"*{_SUFFIX}")) if folder is not None else ():
        loss = _read(path)
        if loss is None:
            continue
        if time.time() - loss.ended_at_s > _KEPT_S:
            path.unlink(missing_ok=True)
            remove_if_empty()
        else:
            found.append(loss)
    return sorted(found, key=lambda loss: -loss.ended_at_s)


def _read(path: Path) -> ClusterLoss | None:
    content = read_marked(path, _MARK) if path.suffix == _SUFFIX else None
    if content is None:
        return None
    try:
        loss = ClusterLoss.model_validate_json(content)
    except ValidationError:
        return None
    return loss if path.name == f"cluster-{slug(loss.key)}{_SUFFIX}" else None
