"""A process's name and command line for showing: what it was started with, without its secrets."""

from __future__ import annotations

import re

MOST_COMMAND_LENGTH = 256
_MOST_NAME_LENGTH = 128
# The kernel hands out whole argument lists, which may be megabytes long.
MOST_BYTES = 4096
_HIDDEN = "***"
# Whole words of an option's name: '--hf-token', not '--tokenizer' or '--max-tokens'.
_SECRET_NAME = (
    r"(?:[\w-]*[-_])?(?:token|secret|passwd|password|credentials?|auth|(?:api|access|private)[-_]?key)"
    r"(?:[-_][\w-]*)?"
)
_SECRET_OPTION = re.compile(rf"--?{_SECRET_NAME}\Z", re.IGNORECASE)
_SECRET_VALUE = re.compile(rf"((?:--?)?{_SECRET_NAME}=)\S+\Z", re.IGNORECASE)
# Tokens that say by themselves what they are: of the Hugging Face hub, OpenAI, GitHub, AWS.
_TOKEN = re.compile(r"(?:hf_|sk-|gh[pousr]_|github_pat_|AKIA)[\w-]{8,}")
_USER_IN_URL = re.compile(r"://[^/\s@]+@")


def program_name(raw: bytes) -> str | None:
    """Return the program's name from the arguments as the kernel gives them, separated by zero bytes."""
    first = raw.split(b"\0", 1)[0].decode("utf-8", "replace").strip()
    # A title such as 'ray::Rank.step' is kept whole; of a path only the program counts, never arguments.
    name = first.split(" ", 1)[0].rsplit("/", 1)[-1]
    return name[:_MOST_NAME_LENGTH] or None


def command_line(raw: bytes) -> str | None:
    """Return the whole command line, at most 256 characters, with '***' for values that look secret."""
    words = raw[:MOST_BYTES].replace(b"\0", b" ").decode("utf-8", "replace").split()
    shown, hide_next = [], False
    for word in words:
        hide = hide_next and not word.startswith("-")
        hide_next = _SECRET_OPTION.match(word) is not None
        shown.append(_HIDDEN if hide else _without_secret(word))
    return " ".join(shown)[:MOST_COMMAND_LENGTH] or None


def _without_secret(word: str) -> str:
    value = _SECRET_VALUE.match(word)
    if value:
        return value[1] + _HIDDEN
    return _USER_IN_URL.sub(f"://{_HIDDEN}@", _TOKEN.sub(_HIDDEN, word))
