"""What keeps an engine from starting its servers on a node, and how to fix it, one line per problem."""

from __future__ import annotations

import math
from collections.abc import Iterator

from cluster.catalog.engine_version import is_same_release
from cluster.deploy.installed_engines import EngineAsked
from cluster.deploy.node_check import NodeFacts, NodeQuestion
from cluster.units import GIB, format_bytes


def engine_problems(question: NodeQuestion, facts: NodeFacts) -> Iterator[str]:
    """Yield what is wrong with the engine on a node, and with the memory that its processes share."""
    if question.engine is None:
        return
    problem = _interpreter_problem(question.engine, question.engine_version, facts)
    if problem:
        yield problem
    free, needed = facts.shared_memory_bytes, question.shared_memory_bytes
    if free is not None and free < needed:
        yield (
            f"/dev/shm has {format_bytes(free)} free, and the processes of {question.engine.name} need "
            f"{format_bytes(needed)} there. Free it; a container takes --shm-size={_whole_gib(needed)}g or "
            "--ipc=host"
        )


def _interpreter_problem(engine: EngineAsked, version: str, facts: NodeFacts) -> str:
    """Return why the planned version cannot be started with the node's interpreter; '' when it can."""
    name, python = engine.name, facts.engine_python
    if facts.engine_problem:
        return f"{facts.engine_problem}. Name the interpreter that has {name} there with --engine-python PATH"
    install = f"{python} -m pip install '{name}=={version.partition('+')[0]}'"
    if facts.engine_version is None:
        return (
            f"{name} is not installed in its Python ({python}). Run there: {install}, or name the "
            "interpreter that has it with --engine-python PATH"
        )
    if is_same_release(facts.engine_version, version):
        return ""
    return (
        f"its Python ({python}) has {name} {facts.engine_version}, but {version} was planned for. Start "
        f"clusterview again to plan for what is installed, or run there: {install}"
    )


def _whole_gib(size_bytes: int) -> int:
    return math.ceil(size_bytes / GIB)
