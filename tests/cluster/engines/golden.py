"""Writes the golden commands: python -m tests.cluster.engines.golden

Read the difference before you commit it.
"""

from __future__ import annotations

from pathlib import Path

from tests.cluster.engines.planned import STRATEGIES, typed

FOLDER = Path(__file__).with_name("golden")
VERSIONS = {"vllm": ("0.11.1", "0.33.0"), "sglang": ("0.5.12", "0.5.23")}


def golden_file(engine: str, version: str) -> Path:
    """Return the file with the commands of a release."""
    return FOLDER / f"{engine}-{version}.txt"


def commands(engine: str, version: str) -> str:
    """Return the commands of all strategies, as one text."""
    sections = (
        "\n".join([f"# {name}", *typed(model, spec, engine=engine, engine_version=version, **request)])
        for name, (model, spec, request) in STRATEGIES.items()
    )
    return "\n\n".join(sections) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for engine, versions in VERSIONS.items():
        for version in versions:
            golden_file(engine, version).write_text(commands(engine, version))
