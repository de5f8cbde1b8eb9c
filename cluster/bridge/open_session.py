"""Open the session that the options name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cluster.bridge.client import RaySession
from cluster.bridge.protocol import Target
from cluster.bridge.ray_address import check_ray_address
from cluster.bridge.session import Session
from cluster.errors import BadInput
from cluster.scenes.load import scene_from_argument
from cluster.scenes.scene import Scene
from cluster.text import clean


def open_session(
    *,
    address: str | None,
    simulate: str | None,
    observe: str | None = None,
    engine_pythons: Mapping[str, str] | None = None,
) -> Session:
    """Return a session, not yet started: Ray at `address`, a simulated cluster, a Ray dashboard to watch, or
    (none of them) this machine.

    `engine_pythons` maps engines to interpreters on the nodes, where they are not in the nodes' own Python.
    Raises BadInput for a spec that does not parse or is too large to simulate. No network is touched.
    """
    named = {"--address": address, "--simulate": simulate, "--observe": observe}
    if sum(value is not None for value in named.values()) > 1:
        given = " and ".join(name for name, value in named.items() if value is not None)
        raise BadInput(f"{given} exclude each other", "Give one of them")
    if observe is not None:
        from cluster.bridge.observe.address import parse_dashboard_url
        from cluster.bridge.observe.session import ObserveSession

        return ObserveSession(parse_dashboard_url(observe))
    if simulate is not None:
        return simulated_session(simulate)
    if address is not None:
        return ray_session(address, engine_pythons)
    from cluster.bridge.local_session import LocalSession

    return LocalSession(engine_pythons=engine_pythons)


def ray_session(address: str, engine_pythons: Mapping[str, str] | None = None) -> RaySession:
    """Return a session, not yet started, on the Ray cluster at `address`; BadInput where it cannot be one."""
    check_ray_address(address)
    target = Target(address=address, engine_pythons=dict(engine_pythons or {}))
    return RaySession(target, f"ray {clean(address, 80)}")


def simulated_session(text: str, *, start: bool = True) -> RaySession:
    """Return a session, not yet started, on the cluster that a spec or a scene file describes.

    `start`: whether to start a cluster that does not run yet. Raises BadInput.
    """
    scene = scene_from_argument(text)
    key = _key(scene, text)
    if scene.is_still:
        return RaySession(Target(simulate=key, start=start), f"simulated {key}")
    title = clean(scene.title or Path(text).stem, 60)
    return RaySession(Target(simulate=key, scene=scene, start=start), f"simulated {key}, {title}")


def simulated_key(text: str) -> str:
    """Return the canonical spec of what `--simulate` names, a spec or a scene file; raises BadInput."""
    return _key(scene_from_argument(text), text)


def _key(scene: Scene, text: str) -> str:
    from cluster.bridge.keeper.embedded import MOST_SIMULATED_NODES, canonical_spec

    num_nodes = len(scene.inventory.nodes)
    if num_nodes > MOST_SIMULATED_NODES:
        raise BadInput(
            f"{clean(text, 60)} has {num_nodes} nodes: too many to simulate on one machine",
            f"Simulate at most {MOST_SIMULATED_NODES}, or plan for it with --cluster",
        )
    return canonical_spec(scene.inventory)
