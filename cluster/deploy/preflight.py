"""Whether the nodes of an order have what it needs: what their answers mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import AfterValidator

from cluster.deploy.node_check import NodeFacts, NodeNeeds, NodeQuestion, look_at_node
from cluster.deploy.preflight_lines import problems_of, revision_problem, tokenizer_problem
from cluster.deploy.preflight_questions import ROUTER_PACKAGES, needs_of
from cluster.deploy.spec import DeploymentSpec
from cluster.errors import DeployFailed
from cluster.frozen import FrozenModel
from cluster.text import CleanStr, clean

_LONGEST_LINE = 1000
_BYTES = "the checkpoint has no tokenizer.json: a prompt is encoded as one token per byte"

Line = Annotated[str, AfterValidator(lambda text: clean(text, _LONGEST_LINE))]


class NodeVerdict(FrozenModel):
    """What a node answered, and what is missing there."""

    node_id: CleanStr
    node: CleanStr
    state: Literal["ok", "failed", "not checked"]
    python: Line | None = None
    python_version: CleanStr | None = None
    packages: dict[CleanStr, CleanStr | None] = {}
    """Package -> version, null where it is missing."""
    weights_folder: Line | None = None
    revision: CleanStr | None = None
    has_tokenizer: bool = False
    engine: CleanStr | None = None
    """Version of the engine that is installed; null for the built-in engine, and where it is missing."""
    engine_python: Line | None = None
    """Interpreter that was asked for the engine."""
    problems: tuple[Line, ...] = ()
    """One line per problem: what is missing, and how to get it."""


def verdict_on(needs: NodeNeeds, facts: NodeFacts) -> NodeVerdict:
    """Judge a node by its answer."""
    problems = tuple(problems_of(needs, facts))
    return NodeVerdict(
        node_id=needs.node_id,
        node=needs.name,
        state="failed" if problems else "ok",
        python=facts.python,
        python_version=facts.python_version,
        packages=facts.versions,
        weights_folder=facts.weights_folder,
        revision=facts.revision,
        has_tokenizer=facts.has_tokenizer,
        engine=facts.engine_version,
        engine_python=facts.engine_python or None,
        problems=problems,
    )


def unanswered(needs: NodeNeeds, reason: str) -> NodeVerdict:
    """Judge a node that did not answer."""
    problem = f"node {needs.name}: could not be checked: {reason}"
    return NodeVerdict(node_id=needs.node_id, node=needs.name, state="failed", problems=(problem,))


def verdicts_here(spec: DeploymentSpec) -> tuple[NodeVerdict, ...]:
    """Judge this machine and this Python in place of the nodes of an order: they run here, in this Python."""
    needs = [_with_ray(one) for one in needs_of(spec, (spec.ranks[0].node_id, spec.ranks[0].node_name))]
    return agreed([verdict_on(one, look_at_node(one.question)) for one in needs], needs)


def _with_ray(needs: NodeNeeds) -> NodeNeeds:
    """Ask for ray too: a node of a running cluster has it, this Python may not."""
    question = replace(needs.question, packages=("ray", *needs.question.packages))
    return replace(needs, question=question)


def check_python_here(*, runs_builtin: bool) -> None:
    """Raise DeployFailed when this Python lacks a package that is needed on this machine.

    `runs_builtin`: the ranks run in it too, not in the Python of another engine.
    """
    torch = ("torch",) if runs_builtin else ()
    facts = look_at_node(NodeQuestion(("ray", *torch, *ROUTER_PACKAGES)))
    problems = tuple(problems_of(NodeNeeds("", "this machine", NodeQuestion(()), False), facts))
    if problems:
        raise DeployFailed("; ".join(problems).removeprefix("node "), "Nothing was started")


def verdicts_not_checked(spec: DeploymentSpec) -> tuple[NodeVerdict, ...]:
    """Return verdicts on nodes that cannot be asked, because their cluster is a description."""
    names = dict.fromkeys((place.node_id, place.node_name) for place in spec.ranks)
    return tuple(NodeVerdict(node_id=key, node=name, state="not checked") for key, name in names)


def agreed(verdicts: Sequence[NodeVerdict], needs: Sequence[NodeNeeds]) -> tuple[NodeVerdict, ...]:
    """Return the verdicts, with the problems that only show across all nodes.

    All ranks must load the same weights, and the router must have the tokenizer that the ranks' model has.
    """
    pairs = list(zip(verdicts, needs, strict=True))
    with_ranks = [verdict for verdict, one in pairs if one.has_ranks]
    revisions = {v.revision: v.node for v in reversed(with_ranks) if v.revision is not None}
    has_tokenizer = any(verdict.has_tokenizer for verdict in with_ranks)
    judged = []
    for verdict, one in pairs:
        problem = ""
        if one.has_ranks and len(revisions) > 1:
            problem = revision_problem(one, revisions)
        elif _needs_tokenizer(one) and has_tokenizer and not verdict.has_tokenizer and verdict.state == "ok":
            problem = tokenizer_problem(one)
        judged.append(_with_problem(verdict, problem) if problem else verdict)
    return tuple(judged)


def _needs_tokenizer(needs: NodeNeeds) -> bool:
    """True for a node without ranks whose router tokenizes, as the built-in engine's does."""
    return not needs.has_ranks and bool(needs.question.folder or needs.question.hub_id)


def _with_problem(verdict: NodeVerdict, problem: str) -> NodeVerdict:
    update = {"state": "failed", "problems": (*verdict.problems, problem)}
    return verdict.model_copy(update=update)


def checked_spec(spec: DeploymentSpec, verdicts: Sequence[NodeVerdict]) -> DeploymentSpec:
    """Return the order with the revision that all nodes hold; raises DeployFailed, one line per problem."""
    problems = [problem for verdict in verdicts for problem in verdict.problems]
    if problems:
        raise DeployFailed("; ".join(problems), "Nothing was claimed")
    ranks_on = {place.node_id for place in spec.ranks}
    loaded = [verdict for verdict in verdicts if verdict.node_id in ranks_on]
    revision = next((verdict.revision for verdict in loaded if verdict.revision), None)
    if spec.server is not None:
        launch = spec.server.launch.model_copy(update={"revision": revision})
        return spec.model_copy(update={"server": spec.server.model_copy(update={"launch": launch})})
    without = spec.model.weights == "checkpoint" and not any(verdict.has_tokenizer for verdict in loaded)
    model = spec.model.model_copy(update={"revision": revision, "without_tokenizer": without})
    remarks = (*spec.remarks, _BYTES) if without else spec.remarks
    return spec.model_copy(update={"model": model, "remarks": remarks})
