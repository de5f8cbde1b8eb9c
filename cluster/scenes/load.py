"""Read the value of `--simulate`: a cluster spec, or a scene file."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import ValidationError

from cluster.cluster_spec import EXAMPLE, looks_like_spec, parse_cluster_spec
from cluster.errors import BadInput
from cluster.json_file import FileLimit, read_bytes, shown
from cluster.scenes.faults import fault_kinds
from cluster.scenes.scene import FORMAT, Scene
from cluster.text import clean
from cluster.units import MIB

_LIMIT = FileLimit("a scene", MIB)
_HELP = f'A scene begins with format = "{FORMAT}" and cluster = "{EXAMPLE}"'


def scene_from_argument(text: str) -> Scene:
    """Return the scene that `--simulate` names: the file of that name, else the spec with nothing on it.

    Raises BadInput that says what is wrong with the file or the spec, and where.
    """
    path = Path(text).expanduser()
    if _is_file(path):
        return load_scene(path)
    if not looks_like_spec(text) and path.suffix == ".toml":
        raise BadInput(f"--simulate: there is no file {shown(path)}", f"Or give a spec like {EXAMPLE}")
    parse_cluster_spec(text, "simulated")  # its message names the position in the text
    return Scene(cluster=text)


def load_scene(path: Path) -> Scene:
    """Read a scene file; BadInput says what is wrong, and where in it."""
    try:
        table = tomllib.loads(read_bytes(path, _LIMIT).decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadInput(f"{shown(path)} is not UTF-8 text: {clean(str(error), 120)}", _HELP) from None
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{shown(path)} is not TOML: {clean(str(error), 120)}", _HELP) from None
    except RecursionError:
        raise BadInput(f"{shown(path)} is nested too deeply", _HELP) from None
    if table.get("format") != FORMAT:
        raise BadInput(f"{shown(path)} is not a scene", _HELP)
    try:
        return Scene.model_validate(table)
    except ValidationError as error:
        raise BadInput(f"{shown(path)}: {_problem(error)}", _HELP) from None


def _problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    where = clean(".".join(str(part) for part in problem["loc"]), 120)
    if problem["type"] == "extra_forbidden":
        return f"{where}: unknown field"
    if problem["type"] in ("union_tag_invalid", "union_tag_not_found"):
        tag = clean(str(problem.get("ctx", {}).get("tag", "")), 40)
        return f"{where}: kind {tag!r} is none of {', '.join(fault_kinds())}"
    message = clean(problem["msg"], 200).removeprefix("Value error, ").replace("Input should be", "must be")
    return f"{where}: {message}" if where else message


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
