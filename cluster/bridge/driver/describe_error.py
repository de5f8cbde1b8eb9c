"""Why a call to an actor failed, in one line."""

from __future__ import annotations


def describe_error(error: Exception) -> str:
    """Return the last line of the cause, or its name where it has no text."""
    cause = getattr(error, "cause", None) or error
    message = getattr(cause, "message", None)
    if isinstance(message, str) and message:
        return message
    lines = [line.strip() for line in str(cause).strip().splitlines() if line.strip()]
    return lines[-1] if lines else type(cause).__name__
