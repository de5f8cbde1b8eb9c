"""The router in front of the servers on the ports that are given."""

from __future__ import annotations

import asyncio
import sys

from cluster.deploy.replica_news import ReplicaNews
from cluster.deploy.router.proxy.proxy_app import make_proxy_app
from cluster.deploy.router.proxy.server_replica import ServerReplica
from cluster.deploy.router.replica_pool import ReplicaStats
from cluster.deploy.router.router_limits import PROXY_BODIES, connection_limits
from cluster.deploy.router.server import RouterServer, listening_socket
from cluster.deploy.router_pool import ReportedPool


async def serve(ports: list[str]) -> None:
    """Print the router's port and serve until ended."""
    pool = ReportedPool(ServerReplica)
    pool.update(
        [
            ReplicaNews(number, 1, None, True, ReplicaStats(), endpoint=f"http://127.0.0.1:{port}")
            for number, port in enumerate(ports)
        ]
    )
    limits = connection_limits(files_per_client=2)
    listener = listening_socket("127.0.0.1", 0, limits)
    print(listener.getsockname()[1], flush=True)
    app = make_proxy_app(pool, model_name="m")
    await RouterServer(app, limits, PROXY_BODIES.max_bytes).serve(sockets=[listener])


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1:]))
