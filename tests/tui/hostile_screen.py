"""Opens the screen on a cluster whose every string is hostile. Run by a test on a real terminal."""

from __future__ import annotations

import sys

from cluster.bridge.events import ClusterSeen, DeploymentsSeen
from tests.tui.builders import make_cluster, make_deployment, make_plan, make_readings, make_spec
from tests.tui.fake_session import FakeSession
from tui.app import ClusterviewApp
from tui.setup import Setup

PAYLOAD = "P\x1b]2;OWNED\x07\x1b[8m\x9b31m\x9d2;OWNED\x9c\x00\x08\x7f\r\u202e[/][red]x[@click=app.quit]Q"


def main() -> int:
    """Run the screen until it is left."""
    clean = make_cluster()
    gpu = clean.nodes[0].gpus[0].model_copy(update={"unhealthy_reason": PAYLOAD, "type": PAYLOAD})
    node = clean.nodes[0].model_copy(update={"name": PAYLOAD, "gpus": (gpu, *clean.nodes[0].gpus[1:])})
    cluster = clean.model_copy(update={"nodes": (node, clean.nodes[1])})
    status = make_deployment(cluster, serving=True).model_copy(
        update={"name": PAYLOAD, "model": PAYLOAD, "scale": PAYLOAD, "reason": PAYLOAD, "endpoint": PAYLOAD}
    )
    # Built without validation, so that nothing is cleaned on the way in.
    events = (
        ClusterSeen.model_construct(cluster=cluster),
        make_readings(clean),
        DeploymentsSeen.model_construct(deployments=(status,)),
    )
    session = FakeSession(events, title=PAYLOAD)
    setup = Setup(models=(PAYLOAD,), plan=make_plan, make_spec=make_spec)
    app = ClusterviewApp(session, setup)
    app.run()
    return app.return_code or 0


if __name__ == "__main__":
    sys.exit(main())
