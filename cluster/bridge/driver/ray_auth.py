"""The token for a Ray cluster: looked for where Ray looks, and described without its value."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from cluster.text import clean

_MODE, _TOKEN, _PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
_DEFAULT = "~/.ray/auth_token"
_MOST_BYTES = 65536


@dataclass(frozen=True, slots=True)
class TokenSearch:
    """The result of looking for a token, in Ray's order of places."""

    found: bool
    where: str
    """For people: 'the token in RAY_AUTH_TOKEN', or where none was found."""


def look_for_token() -> TokenSearch:
    """Look where Ray looks: RAY_AUTH_TOKEN, the file of RAY_AUTH_TOKEN_PATH, ~/.ray/auth_token."""
    if os.environ.get(_TOKEN, "").strip():
        return TokenSearch(True, f"the token in {_TOKEN}")
    if path := os.environ.get(_PATH):
        trouble = _trouble_with(Path(path))
        shown = clean(path, 400)
        if trouble:
            return TokenSearch(False, f"no token: {shown}, which {_PATH} names, {trouble}")
        return TokenSearch(True, f"the token in {shown}, which {_PATH} names")
    trouble = _trouble_with(Path(os.path.expanduser(_DEFAULT)))  # noqa: PTH111 - never raises
    if trouble:
        return TokenSearch(False, f"no token: {_TOKEN} and {_PATH} are not set, and {_DEFAULT} {trouble}")
    return TokenSearch(True, f"the token in {_DEFAULT}")


def read_token() -> str | None:
    """Return the token for a request over HTTP; None where there is none, or RAY_AUTH_MODE=disabled."""
    if os.environ.get(_MODE, "").strip().lower() == "disabled":
        return None
    if token := os.environ.get(_TOKEN, "").strip():
        return token
    path = Path(os.environ.get(_PATH) or os.path.expanduser(_DEFAULT))  # noqa: PTH111 - never raises
    if _trouble_with(path):
        return None
    with contextlib.suppress(OSError), path.open("rb") as opened:
        return opened.read(_MOST_BYTES).decode("utf-8", "replace").strip()
    return None


def use_token_if_found() -> None:
    """Make Ray send a token that is there; without RAY_AUTH_MODE it would not. Call before `import ray`.

    A cluster without tokens ignores it.
    """
    if not os.environ.get(_MODE, "").strip() and look_for_token().found:
        os.environ[_MODE] = "token"


def refusal() -> tuple[str, str]:
    """Return why a cluster rejected us (what was sent, never its value), and what to do."""
    if os.environ.get(_MODE, "").strip().lower() == "disabled":
        return f"{_MODE}=disabled, so no token was sent", f"Unset {_MODE}, or set it to token"
    search = look_for_token()
    if search.found:
        return f"{search.where} is not the cluster's token", "Put the cluster's token there"
    return search.where, f"Put the cluster's token into {_DEFAULT} or {_TOKEN}"


def _trouble_with(path: Path) -> str:
    """Return why no token can be read there; '' if one can."""
    try:
        if not path.is_file():
            return "is not a file" if path.exists() else "does not exist"
        with path.open("rb") as opened:
            return "" if opened.read(_MOST_BYTES).strip() else "is empty"
    except OSError as error:
        return f"cannot be read ({(error.strerror or str(error)).lower()})"
