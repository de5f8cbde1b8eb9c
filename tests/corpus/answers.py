"""What the planner answers to one command line, reduced to key figures and three digests.

`figures` covers every number, layout, placement and rule of the JSON document, `fixes` what is suggested for
refused layouts, and `words` the sentences.
A change of wording therefore leaves `figures` as it was.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from cluster.cli.main import main

Json = dict[str, Any]

_SENTENCES = frozenset(
    {
        "message",
        "fix",
        "why",
        "notes",
        "decision",
        "comparison",
        "advice",
        "source",
        "weights_source",
        "bottleneck",
    }
)
_FIXES = frozenset({"fixes"})
_VARYING = frozenset({"taken_at_s"})
_NOT_STORED = frozenset({"health", "excluded_reason", "num_degraded_gpus"})
"""Came after the answers were stored; no snapshot of the corpus was judged, so they hold no figure."""
_SIGNIFICANT_DIGITS = 6
"""Enough to notice a change of method; few enough that the order of a sum does not matter."""


def answer(arguments: tuple[str, ...], snapshots: Mapping[str, str]) -> Json:
    """Return status, digests and key figures of `clusterview --dry-run --json ARGUMENTS`."""
    words = [snapshots[word[1:]] if word.startswith("@") else word for word in arguments]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(["--dry-run", "--json", *words])
    if not out.getvalue():
        return {"status": status, "words": _digest(err.getvalue())}
    document = json.loads(out.getvalue())
    return {
        "status": status,
        "figures": _digest(_without(document, _SENTENCES | _FIXES)),
        "words": _digest(_below(document, _SENTENCES)),
        "fixes": _digest(_without(_below(document, _FIXES), frozenset({"text"}))),
        **_key_figures(document),
    }


def _key_figures(document: Json) -> Json:
    candidates = document["candidates"]
    refused = Counter(
        rejection["rule"] for candidate in candidates for rejection in candidate["rejections"][:1]
    )
    figures: Json = {
        "considered": document["num_layouts_considered"],
        "feasible": sum(candidate["feasible"] for candidate in candidates),
        "refused": dict(sorted(refused.items())),
    }
    best = document["recommended"]
    if best is not None:
        estimate, memory = best["estimate"], best["memory_per_gpu"]
        figures |= {
            "best": best["label"],
            "total_bytes": memory and memory["total_bytes"],
            "kv_cache_tokens": best["kv_cache_tokens"],
            "tokens_per_s": estimate and _rounded(estimate["throughput_tokens_per_s"]["value"]),
        }
    return figures


def _without(value: Any, names: frozenset[str]) -> Any:
    if isinstance(value, dict):
        left_out = names | _VARYING | _NOT_STORED
        return {key: _without(item, names) for key, item in value.items() if key not in left_out}
    if isinstance(value, list):
        return [_without(item, names) for item in value]
    return _rounded(value)


def _below(value: Any, names: frozenset[str]) -> list[Any]:
    """Return everything below the keys of these names, in document order."""
    if isinstance(value, list):
        return [found for item in value for found in _below(item, names)]
    if not isinstance(value, dict):
        return []
    found = []
    for key, item in value.items():
        found += [item] if key in names else _below(item, names)
    return found


def _rounded(value: Any) -> Any:
    return float(f"{value:.{_SIGNIFICANT_DIGITS}g}") if isinstance(value, float) else value


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
