"""Actor classes as Ray exports them: once per job, however many actors and processes use them.

Ray keeps each exported class in its head's memory while the job lasts, under a key with a random part: every
`ray.remote(Class)` in every process would leave another copy of some 20 KB there.
"""

from __future__ import annotations

import contextlib
import functools
from typing import Any


@functools.cache
def remote_class(ray: Any, actor: type, concurrency_groups: tuple[tuple[str, int], ...] = ()) -> Any:
    """Return `ray.remote(actor)`, made once per process and exported under one key per job."""
    groups = {"concurrency_groups": dict(concurrency_groups)}
    remote = ray.remote(**groups)(actor) if concurrency_groups else ray.remote(actor)
    # A private attribute: without it the export has a random key, which costs memory but works.
    with contextlib.suppress(AttributeError, ImportError, TypeError):
        from ray._raylet import PythonFunctionDescriptor  # type: ignore[attr-defined]

        described = remote.__ray_metadata__.actor_creation_function_descriptor
        remote.__ray_metadata__.actor_creation_function_descriptor = PythonFunctionDescriptor(
            described.module_name, described.function_name, described.class_name, "clusterview"
        )
    return remote
