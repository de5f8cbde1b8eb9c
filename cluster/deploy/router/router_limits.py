"""What the router accepts at most, in bytes, counts and seconds. Every figure is here, once."""

from __future__ import annotations

import resource
from dataclasses import dataclass

MIB = 1024**2
_MOST_CONNECTIONS = 1024
_FEWEST_CONNECTIONS = 16
_WANTED_FILES = 4096
# What a router holds open besides its clients: Ray's channels, libraries, its own processes.
_OTHER_FILES = 200
_SMALLEST_BODY_LIMIT = MIB
_LARGEST_BODY_LIMIT = 16 * MIB
# Text has about 4 bytes a token, and up to 12 a character as JSON escapes; the rest is slack for templates
# that leave out part of a conversation.
_BODY_BYTES_PER_TOKEN = 64
_VALUES_PER_TOKEN = 4
_SPARE_VALUES = 10_000


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """What one request's body may be, and all together."""

    max_bytes: int
    max_values: int
    """JSON values (numbers, strings, lists, objects) in one body."""
    small_bytes: int = 64 * 1024
    """Up to here a body counts as small: it is never queued behind large ones."""
    max_in_flight_bytes: int = 64 * MIB
    """Bytes of large bodies that are held at once."""


def body_limits(max_model_len: int) -> BodyLimits:
    """Return the limits of a deployment whose context holds `max_model_len` tokens."""
    wanted = _BODY_BYTES_PER_TOKEN * max_model_len
    return BodyLimits(
        max_bytes=max(_SMALLEST_BODY_LIMIT, min(_LARGEST_BODY_LIMIT, wanted)),
        max_values=_SPARE_VALUES + _VALUES_PER_TOKEN * max_model_len,
    )


@dataclass(frozen=True, slots=True)
class PrepareLimits:
    """What a process that prepares requests may use for one of them."""

    cpu_s: float
    """Processor time, so that a busy machine does not count against a request."""
    wall_s: float
    memory_bytes: int
    """Address space beyond what the process has when it is idle."""
    queue_s: float = 10.0
    """How long a request may wait for its turn."""
    max_waiting: int = 512
    niceness: int = 0


SMALL_REQUESTS = PrepareLimits(cpu_s=2.0, wall_s=10.0, memory_bytes=512 * MIB)
LARGE_REQUESTS = PrepareLimits(cpu_s=20.0, wall_s=60.0, memory_bytes=1024 * MIB, max_waiting=64, niceness=10)


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How many connections are open, and how long each may wait for its client."""

    max_connections: int = _MOST_CONNECTIONS
    head_s: float = 10.0
    """From connecting, or from the end of the answer before, to the end of a request's headers."""
    body_s: float = 60.0
    """From a request's headers to the end of its body."""
    write_s: float = 10.0
    """How long a client may leave an answer unread."""
    keep_alive_s: float = 5.0
    send_buffer_bytes: int = 64 * 1024
    """What of an answer may wait unread in the router, and about as much again in the kernel."""


def connection_limits() -> ConnectionLimits:
    """Return the limits on this machine; raises the soft limit on open files where that is allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED_FILES if hard == resource.RLIM_INFINITY else min(_WANTED_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    if soft == resource.RLIM_INFINITY:
        return ConnectionLimits()
    room = max(_FEWEST_CONNECTIONS, min(_MOST_CONNECTIONS, soft - _OTHER_FILES))
    return ConnectionLimits(max_connections=room)
