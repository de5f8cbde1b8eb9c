"""`vllm serve`, without an orchestrator."""

from __future__ import annotations

from cluster.export.format import ExportFormat
from cluster.export.shell_text import shell_text

FORMAT = ExportFormat(
    name="vllm",
    summary="vLLM's own servers: one command per node",
    engine="vllm",
    extension="txt",
    render=shell_text,
)
