"""Which requests reach an engine's server: those that ask for answers, not those that administer it."""

from __future__ import annotations

import re
from urllib.parse import quote

from cluster.deploy.router.api_errors import ApiError

_METHODS = ("GET", "POST")
_API = "/v1/"
# The inference paths that vLLM and SGLang serve outside /v1. Everything else there is administration: sleep,
# collective_rpc, reset_prefix_cache, update_weights, flush_cache, start_profile ...
_OTHER_INFERENCE = frozenset(
    {
        "/classify",
        "/detokenize",
        "/encode",
        "/generate",
        "/generative_scoring",
        "/inference/v1/generate",
        "/invocations",
        "/pooling",
        "/rerank",
        "/score",
        "/tokenize",
        "/v2/embed",
        "/v2/rerank",
        "/version",
    }
)
# Under /v1 too, some paths change the server for everybody.
_ADMINISTRATION = re.compile(r"/v1/(?:un)?load_lora_adapter|/v1/(?:loads|start_profile|stop_profile)")
# What stands for itself in a path. Refused are empty segments, '.' and '..', and anything that a server might
# read as another path than the one that was checked here.
_SEGMENT = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._~:@+=,-]{1,256}")
_LONGEST_PATH = 1024
_WITHOUT_ANSWER = ("/tokenize", "/detokenize", "/render", "/derender", "/count_tokens")


def forwarded_path(method: str, path: str) -> str:
    """Return a decoded path as it is sent to a server; ApiError(404 or 405) when it is not for clients."""
    if not _is_for_clients(path):
        raise ApiError(404, f"{method} {path[:256]}: no such path")
    if method not in _METHODS:
        raise ApiError(405, f"{method} {path[:256]}: method not allowed on this path")
    return quote(path, safe="/:@+=,~")


def _is_for_clients(path: str) -> bool:
    if len(path) > _LONGEST_PATH or not path.startswith("/"):
        return False
    if not all(_SEGMENT.fullmatch(segment) for segment in path[1:].split("/")):
        return False
    return path in _OTHER_INFERENCE or (path.startswith(_API) and not _ADMINISTRATION.fullmatch(path))


def asks_for_answer(method: str, path: str) -> bool:
    """Return whether the model works for this request, so that it counts as a user's request."""
    return method == "POST" and not path.endswith(_WITHOUT_ANSWER)
