"""All limits of the router: on bodies, on preparing a request, and on connections."""

from __future__ import annotations

import resource
from dataclasses import dataclass

MIB = 1024**2
_MOST_CONNECTIONS = 1024
_FEWEST_CONNECTIONS = 16
_WANTED_FILES = 4096
# File descriptors used for other things than clients: Ray's channels, libraries, child processes.
_OTHER_FILES = 200
_SMALLEST_BODY_LIMIT = MIB
_LARGEST_BODY_LIMIT = 16 * MIB
# Text has about 4 bytes per token, and up to 12 per character as JSON escapes. The rest is slack for chat
# templates that drop part of a conversation.
_BODY_BYTES_PER_TOKEN = 64
_VALUES_PER_TOKEN = 4
_SPARE_VALUES = 10_000


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Limits on one request's body, and on all bodies together."""

    max_bytes: int
    max_values: int
    """JSON values (numbers, strings, lists, objects) in one body that the router itself reads."""
    small_bytes: int = 64 * 1024
    """Largest body that counts as small, which is never queued behind large ones."""
    max_in_flight_bytes: int = 64 * MIB
    """Total bytes of large bodies in memory at a time."""


def body_limits(max_model_len: int) -> BodyLimits:
    """Return the limits for a context of `max_model_len` tokens."""
    wanted = _BODY_BYTES_PER_TOKEN * max_model_len
    return BodyLimits(
        max_bytes=max(_SMALLEST_BODY_LIMIT, min(_LARGEST_BODY_LIMIT, wanted)),
        max_values=_SPARE_VALUES + _VALUES_PER_TOKEN * max_model_len,
    )


PROXY_BODIES = BodyLimits(max_bytes=64 * MIB, max_values=0, max_in_flight_bytes=256 * MIB)
"""Of requests that an engine's server reads: images and audio come as text within the body."""


@dataclass(frozen=True, slots=True)
class PrepareLimits:
    """What a process may use to prepare one request."""

    cpu_s: float
    """CPU time rather than wall time, so that a busy machine does not fail requests."""
    wall_s: float
    memory_bytes: int
    """Address space beyond that of the idle process."""
    queue_s: float = 10.0
    """How long a request may wait for its turn."""
    max_waiting: int = 512
    niceness: int = 0


SMALL_REQUESTS = PrepareLimits(cpu_s=2.0, wall_s=10.0, memory_bytes=512 * MIB)
LARGE_REQUESTS = PrepareLimits(cpu_s=20.0, wall_s=60.0, memory_bytes=1024 * MIB, max_waiting=64, niceness=10)


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How many connections may be open, and how long each may wait for its client."""

    max_connections: int = _MOST_CONNECTIONS
    head_s: float = 10.0
    """From connecting, or from the previous answer, to the end of a request's headers."""
    body_s: float = 60.0
    """From a request's headers to the end of its body."""
    write_s: float = 10.0
    """How long a client may leave an answer unread before it is disconnected."""
    keep_alive_s: float = 5.0
    send_buffer_bytes: int = 64 * 1024
    """Unread bytes of an answer that the router buffers, and about as much again in the kernel."""


def connection_limits(files_per_client: int = 1) -> ConnectionLimits:
    """Return the limits on this machine. Raises the soft limit on open files if the hard limit allows it.

    `files_per_client` is 2 where each client may need a connection to an engine's server as well.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED_FILES if hard == resource.RLIM_INFINITY else min(_WANTED_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    if soft == resource.RLIM_INFINITY:
        return ConnectionLimits()
    room = (soft - _OTHER_FILES) // files_per_client
    return ConnectionLimits(max_connections=max(_FEWEST_CONNECTIONS, min(_MOST_CONNECTIONS, room)))
