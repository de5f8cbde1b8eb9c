"""API keys of a deployment: where they come from, and their digests. The keys are not stored."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from cluster.errors import BadInput

API_KEY_VARIABLE = "CLUSTERVIEW_API_KEY"
_MOST_FILE_BYTES = 64 * 1024


def hash_key(key: str) -> str:
    """Return the digest of a key: its SHA-256 in hex."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def hashed_keys(
    keys: Sequence[str] = (), file: str | None = None, environment: Mapping[str, str] = os.environ
) -> tuple[str, ...]:
    """Return the digests of `keys` and of those in `file` (one a line), else of the environment's key.

    Empty when no key is given anywhere. BadInput says which source holds no usable key, never the key.
    """
    return tuple(dict.fromkeys(hash_key(key) for key in given_keys(keys, file, environment)))


def given_keys(
    keys: Sequence[str] = (), file: str | None = None, environment: Mapping[str, str] = os.environ
) -> list[str]:
    """Return the keys themselves, from the same sources as `hashed_keys`: a client has to send one."""
    found = [_checked(key, "--api-key") for key in keys]
    if file is not None:
        found += _keys_in(Path(file).expanduser())
    if not found and API_KEY_VARIABLE in environment:
        found = [_checked(environment[API_KEY_VARIABLE], API_KEY_VARIABLE)]
    return found


def _keys_in(path: Path) -> list[str]:
    try:
        if not path.is_file():
            raise BadInput(f"--api-key-file: {path} is not a file", "Name a file with one key per line")
        with path.open("rb") as file:
            data = file.read(_MOST_FILE_BYTES + 1)
    except OSError as error:
        raise BadInput(f"--api-key-file: {path} cannot be read ({error.strerror})") from error
    if len(data) > _MOST_FILE_BYTES:
        raise BadInput(f"--api-key-file: {path} is larger than {_MOST_FILE_BYTES} bytes", "One key per line")
    lines = data.decode("utf-8", "replace").splitlines()
    keys = [_checked(line.strip(), f"--api-key-file {path}") for line in lines if line.strip()]
    if not keys:
        raise BadInput(f"--api-key-file: {path} contains no key", "Write one key per line")
    return keys


def _checked(key: str, source: str) -> str:
    if not re.fullmatch(r"[!-~]{1,1024}", key):
        problem = "is empty" if not key else "is not 1 to 1024 printable ASCII characters without spaces"
        raise BadInput(
            f"the API key from {source} {problem}", "Set a key, or leave it out for no authentication"
        )
    return key
