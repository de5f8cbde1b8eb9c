"""The router under attack: the real server over an echo replica, with a hostile chat template."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from cluster.deploy.router.http_app import make_app
from cluster.deploy.router.prepare import Settings
from cluster.deploy.router.preparer import Preparer
from cluster.deploy.router.router_limits import connection_limits
from cluster.deploy.router.server import RouterServer, listening_socket
from tests.cluster.deploy.router.echo import ByteTokenizer, EchoPool, EchoReplica
from tests.cluster.deploy.router.hostile import write_model_folder

MODEL = "echo"
CONTEXT = 262_144


async def serve(folder: Path) -> None:
    """Print the port and serve until ended."""
    preparer = Preparer(Settings(MODEL, CONTEXT, str(folder), 256))
    preparer.warm_up()
    limits = connection_limits()
    listener = listening_socket("127.0.0.1", 0, limits)
    app = make_app(EchoPool(EchoReplica("0")), preparer=preparer, tokenizer=ByteTokenizer())
    print(listener.getsockname()[1], flush=True)
    await RouterServer(app, limits, preparer.limits.max_bytes).serve(sockets=[listener])
    preparer.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(serve(write_model_folder(Path(folder))))
