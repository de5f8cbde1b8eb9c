"""A deployment as JSON: its status, and the error of each figure that is both predicted and measured."""

from __future__ import annotations

from typing import Any

from cluster.deploy.comparison import comparison_json
from cluster.deploy.status import DeploymentStatus


def deployment_json(cluster: str, status: DeploymentStatus) -> dict[str, Any]:
    """Return the object that `status --json` and `deploy --json` print for a deployment on `cluster`."""
    return {"cluster": cluster, **status.model_dump(mode="json"), **comparison_json(status)}
