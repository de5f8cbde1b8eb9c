"""What is missing on a node and how to get it, one line per problem."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from cluster.deploy.node_check import NodeFacts, NodeNeeds, NodeQuestion
from cluster.deploy.preflight_engine import engine_problems
from cluster.packages import install_command

LOOPBACK = ("127.0.0.1", "::1", "localhost")
_DUMMY = "or use --load-format dummy for random weights"


def problems_of(needs: NodeNeeds, facts: NodeFacts) -> Iterator[str]:
    """Yield a line for each thing that keeps the deployment from running on this node."""
    engine = engine_problems(needs.question, facts) if needs.question.engine is not None else ()
    for problem in (*_package_problems(facts), *engine, *_other_problems(needs, facts)):
        yield f"node {needs.name}: {problem}"


def _package_problems(facts: NodeFacts) -> Iterator[str]:
    missing = [package for package, version in facts.versions.items() if version is None]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        named = " and ".join(missing)
        yield f"{named} {verb} missing from its Python ({facts.python}). {_install(facts, missing)}"
    again = _install(facts, ["torch"], "--force-reinstall ")
    if facts.torch_error:
        yield f"torch cannot be imported by its Python ({facts.python}): {facts.torch_error}. {again}"
    elif facts.torch_cuda == "":
        torch = f"torch {facts.versions.get('torch')} of its Python ({facts.python})"
        yield f"{torch} is built without CUDA, which its GPUs need. {again} (a CUDA build)"


def _other_problems(needs: NodeNeeds, facts: NodeFacts) -> Iterator[str]:
    if needs.has_ranks and facts.weights_problem:
        yield _weights_problem(needs.question, facts)
    if facts.port_taken:
        yield f"{_port(needs.question)}. Choose another --port, or leave it out for a free one"


def _port(question: NodeQuestion) -> str:
    if question.host in LOOPBACK:
        return f"port {question.port} is taken"
    return f"port {question.port} is taken at {question.host}, or that is not an address of the node"


def _weights_problem(question: NodeQuestion, facts: NodeFacts) -> str:
    # Dummy weights replace the weights only: an engine reads config and tokenizer all the same.
    from_checkpoint = question.checks_weights
    otherwise = f", {_DUMMY}" if from_checkpoint else ""
    if question.hub_id is None:
        return (
            f"{facts.weights_problem}. Give the node the whole folder under the same path, or name another "
            f"with --model FOLDER{otherwise}"
        )
    name = question.hub_id
    if not from_checkpoint:
        return (
            f"{name} {facts.weights_problem}; dummy weights need its config and tokenizer too. "
            f"Run there: {_download_small(name)}, or name a folder with --model FOLDER"
        )
    return (
        f"{name} {facts.weights_problem}. Run there: hf download {name} "
        f"(older: huggingface-cli download {name}), name a folder with --model FOLDER{otherwise}"
    )


def _download_small(name: str) -> str:
    """Return the command that fetches config and tokenizer, without weights."""
    return f"hf download {name} --include '*.json' '*.jinja'"


def revision_problem(needs: NodeNeeds, revisions: Mapping[str, str]) -> str:
    """Describe nodes with different commits of a model; `revisions` maps each to a node that has it."""
    listed = ", ".join(f"{revision} on {node}" for revision, node in revisions.items())
    name = needs.question.hub_id
    return (
        f"node {needs.name}: the nodes hold different revisions of {name} ({listed}). "
        f"Run on each: hf download {name} --revision COMMIT, with the same commit"
    )


def tokenizer_problem(needs: NodeNeeds) -> str:
    """Describe a router node without the tokenizer that the ranks' nodes have."""
    question = needs.question
    if question.hub_id is None:
        missing, remedy = f"{question.folder} has none on it", "Give the node a copy under the same path"
    else:
        missing = f"{question.hub_id} is not in its hub cache"
        remedy = f"Run there: {_download_small(question.hub_id)}"
    return f"node {needs.name}: the router runs there and needs the model's tokenizer; {missing}. {remedy}"


def _install(facts: NodeFacts, packages: Sequence[str], options: str = "") -> str:
    return f"Run there: {install_command(facts.python, packages, options)}"
