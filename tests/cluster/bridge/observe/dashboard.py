"""A server that answers as Ray's dashboard does, with what a test puts into it."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

MIB = 2**20
H100 = "NVIDIA H100 80GB HBM3"


def gpu(index: int = 0, **changes: Any) -> dict[str, Any]:
    """Return a GPU as Ray's reporter sends it."""
    return {
        "index": index,
        "name": H100,
        "uuid": f"GPU-{index}",
        "utilizationGpu": 97,
        "memoryUsed": 1000,
        "memoryTotal": 81559,
        "processesPids": [{"pid": 4242, "gpuMemoryUsage": 900, "gpuUtilization": 90}],
        "powerMw": 312500,
        "temperatureC": 61,
        **changes,
    }


def node(node_id: str = "id-a", name: str = "gpu-a", num_gpus: int = 8, **changes: Any) -> dict[str, Any]:
    """Return a node of the summary."""
    return {
        "now": 1000.0,
        "hostname": "host",
        "ip": "10.0.0.2",
        "cpu": 12.5,
        "cpus": [64, 32],
        "mem": [2**39, 2**38, 50.0, 2**38],
        "loadAvg": [[1.5, 1.2, 1.0], [0.02, 0.02, 0.02]],
        "disk": {"/": {"total": 2**40, "used": 2**39, "free": 2**39, "percent": 50.0}},
        "networkSpeed": [100.0, 200.0],
        "gpus": [gpu(index, uuid=f"GPU-{node_id}-{index}") for index in range(num_gpus)],
        "raylet": {
            "nodeId": node_id,
            "nodeName": name,
            "nodeManagerAddress": "10.0.0.2",
            "nodeManagerHostname": "host",
            "state": "ALIVE",
            "stateMessage": None,
            "resourcesTotal": {"GPU": float(num_gpus), "CPU": 64.0},
        },
        **changes,
    }


class Dashboard:
    """Serves `nodes`; or answers every request with `status` and `body`."""

    def __init__(self) -> None:
        self.nodes: list[dict[str, Any]] = []
        self.usage: dict[str, str] = {}
        self.status, self.body = 200, b""
        self.token: str | None = None
        self.asked: list[str] = []
        self.redirects_to: str | None = None
        dashboard = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                dashboard.asked.append(self.path)
                status, body = dashboard.answer(self.headers.get("Authorization"))
                self.send_response(status)
                if dashboard.redirects_to is not None:
                    self.send_header("Location", dashboard.redirects_to)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, authorization: str | None) -> tuple[int, bytes]:
        if self.token is not None and authorization != f"Bearer {self.token}":
            return 403, b"Forbidden"
        data = {"summary": self.nodes, "nodeLogicalResources": self.usage}
        body = json.dumps({"result": True, "msg": "Node summary fetched.", "data": data}).encode()
        return self.status, self.body or body

    def __enter__(self) -> Dashboard:
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
