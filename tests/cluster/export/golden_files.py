"""The stored texts of a few exports: `python -m tests.cluster.export.golden_files` writes them again."""

from __future__ import annotations

from pathlib import Path

from tests.cluster.export.cases import exported

FOLDER = Path(__file__).parent / "golden"
STORED = {
    "vllm.txt": ("TP and PP over nodes", "vllm"),
    "sglang.txt": ("TP in a node, replicas", "sglang"),
    "ray-serve.yaml": ("TP in a node, replicas", "ray-serve"),
    "kuberay.yaml": ("TP in a node, replicas", "kuberay"),
    "lws.yaml": ("attention DP over nodes", "lws"),
    "compose.yaml": ("replicas in one node", "compose"),
}


def text_of(name: str) -> str:
    """Return an export without its predicted figures, which change with the planner."""
    lines = exported(*STORED[name]).splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("# predicted"))


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name in STORED:
        (FOLDER / name).write_text(text_of(name), encoding="utf-8")


if __name__ == "__main__":
    main()
