"""A Ray Serve LLM configuration, for `serve run` on a Ray cluster."""

from __future__ import annotations

from cluster.export.format import ExportFormat
from cluster.export.ray_llm import VLLM_VERSION, serve_config, serve_remarks
from cluster.export.remarks import heading
from cluster.export.target import ExportTarget
from cluster.export.yaml_text import to_yaml


def render(target: ExportTarget) -> str:
    """Return the configuration of one Serve application."""
    start = "start it with: serve run FILE"
    return to_yaml([serve_config(target)], [*heading(target), *serve_remarks(target), start])


FORMAT = ExportFormat(
    name="ray-serve",
    summary="a Ray Serve LLM configuration",
    engine="vllm",
    engine_version=VLLM_VERSION,
    extension="yaml",
    render=render,
)
