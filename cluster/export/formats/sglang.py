"""SGLang's server, without an orchestrator."""

from __future__ import annotations

from cluster.export.format import ExportFormat
from cluster.export.shell_text import shell_text

FORMAT = ExportFormat(
    name="sglang",
    summary="SGLang's own servers: one command per node",
    engine="sglang",
    extension="txt",
    render=shell_text,
)
