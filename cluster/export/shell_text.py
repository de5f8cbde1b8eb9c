"""Commands for a person's shells: a line for each node of each replica, below a comment that says where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from cluster.export.commands import placed_members, server_command, shell_line
from cluster.export.remarks import heading
from cluster.export.target import ExportTarget, Replica
from cluster.inventory import Node
from cluster.text import clean
from cluster.units import count_of


def shell_text(target: ExportTarget) -> str:
    """Return the commands of all replicas. GPUs are named exactly as planned."""
    lines = [*heading(target), *_how_to_run(target)]
    text = [f"# {clean(line, 400)}" for line in lines]
    servers_at: Counter[str] = Counter()
    for replica in target.replicas:
        # Nodes that share an address share its ports.
        machine = replica.nodes[0].address or replica.nodes[0].node_id
        text += ["", *_replica_lines(target, replica, servers_at[machine])]
        servers_at[machine] += 1
    return "\n".join(text) + "\n"


def _how_to_run(target: ExportTarget) -> Iterator[str]:
    nodes = {node.node_id: node for replica in target.replicas for node in replica.nodes}
    yield "Run each line on the node named above it; all lines of a replica within a few minutes."
    if any(node.address is None for node in nodes.values()):
        yield "Node names stand for addresses that are not known here: replace names that do not resolve."
    yield "The servers ask for no key: add --api-key KEY where others can reach their ports."
    if len(target.replicas) > 1:
        yield (
            f"{count_of(len(target.replicas), 'independent server')}: put a load balancer in front, or let "
            "`clusterview deploy` start, watch and balance them."
        )


def _replica_lines(target: ExportTarget, replica: Replica, slot: int) -> Iterator[str]:
    members = placed_members(replica, slot)
    leader = replica.nodes[0]
    url = f"http://{_host(leader)}:{members[0].http_port}/v1"
    yield f"# replica {replica.number}: {clean(url, 120)}"
    for member, node in zip(members, replica.nodes, strict=True):
        gpus = ", ".join(map(str, member.gpu_indices))
        yield f"# on {clean(node.name, 120)}, GPU {gpus}"
        yield shell_line(server_command(target, member))


def _host(node: Node) -> str:
    address = node.address or node.name
    return f"[{address}]" if ":" in address else address
