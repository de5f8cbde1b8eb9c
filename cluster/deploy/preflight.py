"""Whether the nodes of an order have what it needs: what to check, and what the answers mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import AfterValidator

from cluster.deploy.node_check import NodeFacts, NodeNeeds, NodeQuestion, look_at_node
from cluster.deploy.preflight_lines import problems_of, revision_problem, tokenizer_problem
from cluster.deploy.spec import DeploymentSpec
from cluster.errors import DeployFailed
from cluster.frozen import FrozenModel
from cluster.text import CleanStr, clean

ROUTER_PACKAGES = ("starlette", "uvicorn", "prometheus_client")
_TOKENIZER_PACKAGES = ("tokenizers", "jinja2")
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
    problems: tuple[Line, ...] = ()
    """One line per problem: what is missing, and how to get it."""


def needs_of(spec: DeploymentSpec, router_node: tuple[str, str]) -> tuple[NodeNeeds, ...]:
    """Return what each node of the order needs; `router_node` is (id, name) of the node of the router."""
    names = dict.fromkeys((place.node_id, place.node_name) for place in spec.ranks)
    has_ranks = {node_id for node_id, _ in names}
    if router_node[0] not in has_ranks:
        names[router_node] = None
    return tuple(
        NodeNeeds(
            node_id,
            name,
            _question(spec, node_id in has_ranks, node_id == router_node[0]),
            node_id in has_ranks,
        )
        for node_id, name in names
    )


def _question(spec: DeploymentSpec, has_ranks: bool, has_router: bool) -> NodeQuestion:
    return NodeQuestion(
        packages=_packages(spec, has_ranks, has_router),
        imports_torch=has_ranks and spec.device == "cuda",
        folder=spec.model.path,
        hub_id=spec.model.hub_id,
        revision=spec.model.revision,
        checks_weights=has_ranks,
        port=spec.router_port if has_router else 0,
    )


def _packages(spec: DeploymentSpec, has_ranks: bool, has_router: bool) -> tuple[str, ...]:
    """Return what is imported on a node. Plain `ray`, without [default], comes without pydantic."""
    from_checkpoint = spec.model.weights == "checkpoint"
    packages = ["pydantic"]
    if has_ranks:
        packages += ["torch", "safetensors"] if from_checkpoint else ["torch"]
    if has_router:
        packages += [*ROUTER_PACKAGES, *(_TOKENIZER_PACKAGES if from_checkpoint else ())]
    return tuple(packages)


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


def check_python_here() -> None:
    """Raise DeployFailed when this Python lacks a package that ranks and router on this machine need."""
    facts = look_at_node(NodeQuestion(("ray", "torch", *ROUTER_PACKAGES)))
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
        elif not one.has_ranks and has_tokenizer and not verdict.has_tokenizer and verdict.state == "ok":
            problem = tokenizer_problem(one)
        judged.append(_with_problem(verdict, problem) if problem else verdict)
    return tuple(judged)


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
    without = spec.model.weights == "checkpoint" and not any(verdict.has_tokenizer for verdict in loaded)
    model = spec.model.model_copy(update={"revision": revision, "without_tokenizer": without})
    remarks = (*spec.remarks, _BYTES) if without else spec.remarks
    return spec.model_copy(update={"model": model, "remarks": remarks})
