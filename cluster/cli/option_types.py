"""Types of option values: they parse a text, or raise ArgumentTypeError with one line."""

from __future__ import annotations

import math
import re
from argparse import ArgumentTypeError

from cluster.text import clean

MOST = 10**9
_DAY_S = 86_400
_SUFFIXES = {"k": 1000, "K": 1024, "m": 1000**2, "M": 1024**2}


def some_text(text: str) -> str:
    """Any non-empty text: an empty value is a mistake (say, an unset variable), never the default."""
    if not text.strip():
        raise ArgumentTypeError("must not be empty; omit the option to use the default")
    return text


def cluster_words(text: str) -> str:
    """A cluster spec or a file name; parsed later, where errors can name the position."""
    if not text.strip():
        raise ArgumentTypeError("must not be empty; write a cluster such as 2x4xA100-80GB")
    return text


def positive_int(text: str) -> int:
    """A whole number from 1 to a billion."""
    if not re.fullmatch(r"\+?[0-9]{1,10}", text) or not 1 <= int(text) <= MOST:
        raise ArgumentTypeError(f"{_shown(text)} is not a whole number from 1 to {MOST:,}")
    return int(text)


def replica_count(text: str) -> int:
    """A number of replicas that a running deployment can have."""
    if re.fullmatch(r"\+?0+", text):
        raise ArgumentTypeError("0 replicas serve nothing; to end a deployment, use clusterview stop")
    return positive_int(text)


def drain_seconds(text: str) -> float:
    """A time to wait in seconds, 0 to a day."""
    value = _number(text)
    if value is None or not 0 <= value <= _DAY_S:
        raise ArgumentTypeError(f"{_shown(text)} is not a number of seconds from 0 to {_DAY_S:,}")
    return value


def index_number(text: str) -> int:
    """A number that counts from 0, such as a rank's."""
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise ArgumentTypeError(f"{_shown(text)} is not a number that counts from 0")
    return int(text)


def port_number(text: str) -> int:
    """A TCP port that a service can be given: 1 to 65535."""
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise ArgumentTypeError(f"{_shown(text)} is not a port; use a number from 1 to 65535")
    return int(text)


def token_count(text: str) -> int:
    """A number of tokens: 32768, 32k (32,000) or 32K (32,768), as vLLM reads them."""
    match = re.fullmatch(r"([0-9]{1,10})([kKmM]?)", text)
    tokens = int(match[1]) * _SUFFIXES.get(match[2], 1) if match else 0
    if not 1 <= tokens <= MOST:
        raise ArgumentTypeError(f"{_shown(text)} is not a number of tokens; write 32768 or 32K")
    return tokens


def byte_count(text: str) -> int:
    """A size in bytes: 8589934592, 8G (8 x 10^9) or 8Gi (8 x 2^30)."""
    match = re.fullmatch(r"([0-9]{1,15})([kKmMgG]?)(i?)", text)
    if not match or (match[3] and not match[2]) or not int(match[1]):
        raise ArgumentTypeError(f"{_shown(text)} is not a size in bytes; write 8589934592 or 8Gi")
    size_bytes = int(match[1])
    for _ in range(" kmg".index(match[2].lower() or " ")):
        size_bytes *= 1024 if match[3] else 1000
    return size_bytes


def fraction(text: str) -> float:
    """A fraction above 0, at most 1."""
    share = _number(text)
    if share is None or not 0 < share <= 1:
        raise ArgumentTypeError(f"{_shown(text)} is not a fraction between 0 and 1")
    return share


def milliseconds(text: str) -> float:
    """A duration above 0, in milliseconds."""
    duration = _number(text)
    if duration is None or not 0 < duration <= MOST:
        raise ArgumentTypeError(f"{_shown(text)} is not a number of milliseconds above 0")
    return duration


def short_name(text: str) -> str:
    """A name of 1 to 64 letters, digits, dots, dashes and underscores."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", text):
        raise ArgumentTypeError(
            f"{_shown(text)} is not a name: use letters, digits, dots, dashes, underscores"
        )
    return text


def host_name(text: str) -> str:
    """A host name or address as clients write it, without scheme and port, in lower case."""
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|[0-9A-Fa-f:.]{2,45}", text):
        raise ArgumentTypeError(f"{_shown(text)} is not a host name; omit the scheme, port and brackets")
    return text.lower()


def interpreter_path(text: str) -> str:
    """The path of a Python interpreter, the same on every node."""
    if not is_interpreter_path(text):
        raise ArgumentTypeError(
            f"{_shown(text)} is not the absolute path of an interpreter; write it like /opt/engine/bin/python"
        )
    return text


def is_interpreter_path(text: str) -> bool:
    """Return whether a text can be the path of an interpreter on any node: absolute, printable, a file's."""
    return text.startswith("/") and text.isprintable() and len(text) <= 4096 and not text.endswith("/")


def version_text(text: str) -> str:
    """A version as engines print theirs: 0.11.0, 0.10.1.1+cu128, 0.14.0.dev0+g439368496."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}", text):
        raise ArgumentTypeError(f"{_shown(text)} is not a version; write it like 0.11.0")
    return text


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _shown(text: str) -> str:
    return repr(clean(text, 40))
