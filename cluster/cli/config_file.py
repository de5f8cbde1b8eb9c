"""The user's config file: which interpreter has which engine."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cluster.catalog.nearest import nearest_names
from cluster.cli.option_types import is_interpreter_path
from cluster.engines.adapter import adapter_names
from cluster.errors import BadInput
from cluster.text import clean

_MOST_BYTES = 1024 * 1024
_LONGEST_KEY = 60


def config_path(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the config file's path: in $XDG_CONFIG_HOME/clusterview, else in ~/.config/clusterview."""
    home = environment.get("XDG_CONFIG_HOME", "")
    base = Path(home) if home.startswith("/") else Path("~/.config").expanduser()
    return base / "clusterview" / "config.toml"


def read_engine_pythons(path: Path | None = None) -> dict[str, str]:
    """Return engine -> interpreter of the `[engines.NAME] python = "..."` tables; {} without a file.

    Raises BadInput that names the file and the key.
    """
    path = path or config_path()
    table = _read(path)
    _refuse_unknown(path, "", table, ("engines",))
    engines = _table(path, "engines", table.get("engines", {}))
    _refuse_unknown(path, "engines.", engines, adapter_names())
    pythons = {}
    for name, value in engines.items():
        key = f"engines.{name}"
        options = _table(path, key, value)
        _refuse_unknown(path, f"{key}.", options, ("python",))
        if "python" in options:
            pythons[name] = _interpreter(path, f"{key}.python", options["python"])
    return pythons


def _read(path: Path) -> dict[str, Any]:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise BadInput(f"the config file {path} is not a regular file", "Write a TOML file, or remove it")
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise BadInput(f"the config file {path} cannot be read: {reason}", "Make it readable") from None
    if len(content) > _MOST_BYTES:
        raise BadInput(f"the config file {path} is larger than 1 MiB", "Check that it is the right file")
    try:
        return tomllib.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadInput(
            f"the config file {path} is not TOML: {clean(str(error), 120)}", "Fix that line"
        ) from None


def _table(path: Path, key: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadInput(f"{path}: {key} is not a table", 'Write [engines.NAME] and below it python = "PATH"')
    return value


def _refuse_unknown(path: Path, prefix: str, table: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in table:
        if key not in known:
            nearest = nearest_names(key[:_LONGEST_KEY], known) or known
            raise BadInput(
                f"{path}: unknown key {prefix}{clean(key, _LONGEST_KEY)}",
                f"Known here: {', '.join(f'{prefix}{name}' for name in nearest)}",
            )


def _interpreter(path: Path, key: str, value: object) -> str:
    if not isinstance(value, str) or not is_interpreter_path(value):
        raise BadInput(
            f"{path}: {key} is not the absolute path of an interpreter",
            'Write it like "/opt/engine/bin/python": it is looked for on every node',
        )
    return value
