"""What a layout sends on one node, as lines: which GPUs, over which links, at what cost. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from cluster.inventory import Gpu, Node
from cluster.planner.exchange_cost import ExchangeCost, all_reduce_cost, hop_cost
from cluster.planner.exchanges import Exchange, Exchanges
from cluster.planner.layout import Placement
from cluster.planner.replica import TpLink
from cluster.planner.result import Candidate, Plan
from cluster.units import count_of, format_bytes, format_duration

LINK_WORDS: dict[str, str] = {
    "nvlink": "NVLink",
    "nvlink_domain": "NVLink between nodes",
    "pcie": "PCIe",
    "network": "the network",
    "none": "no link",
}
_GPUS_NAMED = 16


def fabric_name(gpus: Iterable[Gpu]) -> str:
    """Return what the links between GPUs are called: 'NVLink', or 'xGMI' on AMD's."""
    return "xGMI" if {gpu.vendor for gpu in gpus} == {"amd"} else "NVLink"


def link_words(link: str, gpus: Iterable[Gpu]) -> str:
    """Name a kind of link between these GPUs."""
    return LINK_WORDS[link].replace("NVLink", fabric_name(gpus))


@dataclass(frozen=True, slots=True)
class SentLine:
    """One exchange as text."""

    replica: int
    name: str
    """'R0 all-reduces', 'R0 S0→S1'."""
    gpus: str
    """'GPU 0 1 2 3', and those of other nodes by name."""
    link: str
    """'over NVLink'."""
    remark: str = ""
    """What slows it down."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What the highlighted layout sends on one node."""

    title: str
    lines: tuple[SentLine, ...] = ()
    costs: tuple[str, ...] = ()


def sent_on(node: Node, exchanges: Exchanges, plan: Plan | None, candidate: Candidate | None) -> Sent:
    """Describe what a layout sends on a node; why it sends nothing where it does not."""
    if plan is None or candidate is None:
        return Sent("No layout is highlighted.")
    if not candidate.placement:
        return Sent(f"{candidate.label} is not placed on any GPU.")
    own = exchanges.of_node(node.node_id)
    if not own:
        here = any(place.node == node.node_id for place in candidate.placement)
        where = "its GPUs here send nothing to each other" if here else "it uses no GPU of this node"
        return Sent(f"{candidate.label}: {where}.")
    return Sent(
        f"What {candidate.label} sends here",
        tuple(_lines(node, own)),
        tuple(_costs(node, own, plan, candidate)),
    )


def _lines(node: Node, exchanges: Sequence[Exchange]) -> Iterator[SentLine]:
    hops: dict[tuple[int, int], list[Exchange]] = {}
    for exchange in exchanges:
        if exchange.kind == "stage hop":
            hops.setdefault((exchange.replica, exchange.stage), []).append(exchange)
        else:
            yield _group_line(node, exchange)
    for (replica, stage), pairs in hops.items():
        yield SentLine(
            replica=replica,
            name=f"R{replica} S{stage}→S{stage + 1}",
            gpus=_hop_gpus(node, pairs),
            link=f"over {link_words(_slowest(pairs), node.gpus)}",
            remark=_trouble(node, (place for pair in pairs for place in pair.places), pairs[0].link),
        )


def _group_line(node: Node, exchange: Exchange) -> SentLine:
    names = {"all-reduce": "all-reduces", "all-to-all": "all-to-all", "gradient all-reduce": "gradients"}
    stage = f" S{exchange.stage}" if exchange.stage else ""
    replica = "" if exchange.kind == "gradient all-reduce" else f"R{exchange.replica}{stage} "
    return SentLine(
        replica=exchange.replica,
        name=replica + names[exchange.kind],
        gpus=_group_gpus(node, exchange.places),
        link=f"over {link_words(exchange.link, node.gpus)}",
        remark=_trouble(node, exchange.places, exchange.link),
    )


def _group_gpus(node: Node, places: Sequence[Placement]) -> str:
    here = [place.gpu_index for place in places if place.node == node.node_id]
    others = [place for place in places if place.node != node.node_id]
    text = f"GPU {_numbers(here)}"
    if others:
        nodes = list(dict.fromkeys(place.node_name for place in others))
        named = nodes[0] if len(nodes) == 1 else count_of(len(nodes), "other node")
        text += f" and {count_of(len(others), 'GPU')} on {named}"
    return text


def _numbers(indices: Sequence[int]) -> str:
    shown = " ".join(str(index) for index in indices[:_GPUS_NAMED])
    return shown + (f" and {len(indices) - _GPUS_NAMED} more" if len(indices) > _GPUS_NAMED else "")


def _hop_gpus(node: Node, pairs: Sequence[Exchange]) -> str:
    texts = []
    for pair in pairs[:_GPUS_NAMED]:
        first, second = pair.places
        one = str(first.gpu_index) if first.node == node.node_id else f"{first.node_name}:{first.gpu_index}"
        other = (
            str(second.gpu_index) if second.node == node.node_id else f"{second.node_name}:{second.gpu_index}"
        )
        texts.append(f"{one}→{other}")
    more = f" and {len(pairs) - _GPUS_NAMED} more" if len(pairs) > _GPUS_NAMED else ""
    return f"GPU {' '.join(texts)}{more}"


_SPEED: tuple[TpLink, ...] = ("network", "pcie", "nvlink_domain", "nvlink", "none")


def _slowest(exchanges: Iterable[Exchange]) -> TpLink:
    return min((exchange.link for exchange in exchanges), key=_SPEED.index)


def _trouble(node: Node, places: Iterable[Placement], link: TpLink) -> str:
    """Describe what the judge of health found about the links that an exchange needs."""
    own = {place.gpu_uuid for place in places if place.node == node.node_id}
    slow = []
    for gpu in node.gpus:
        left = _share_left(gpu, link) if gpu.uuid in own else 1.0
        if left < 1.0:
            slow.append(f"GPU {gpu.index} at {left:.0%}")
    return f"slowed down: {', '.join(slow)} of its link" if slow else ""


def _share_left(gpu: Gpu, link: TpLink) -> float:
    if gpu.health is None:
        return 1.0
    if link in ("nvlink", "nvlink_domain"):
        return gpu.health.slowdown.nvlink
    return gpu.health.slowdown.pcie if link in ("pcie", "network") else 1.0


def _costs(node: Node, own: Sequence[Exchange], plan: Plan, candidate: Candidate) -> Iterator[str]:
    uuids = {place.gpu_uuid for exchange in own for place in exchange.places}
    gpu = next((gpu for gpu in node.gpus if gpu.uuid in uuids), None)
    reduces = [exchange for exchange in own if exchange.kind == "all-reduce"]
    hops = [exchange for exchange in own if exchange.kind == "stage hop"]
    if gpu is None:
        return
    cost = all_reduce_cost(plan, candidate, _slowest(reduces), gpu) if reduces else None
    if cost is not None:
        total, share = format_duration(cost.total_s), f"{cost.share:.0%}"
        yield f"all-reduces: {cost.per_token:,} per token take {total}, {share} of a decode step"
        yield f"  one moves {_one(cost, node)}"
    cost = hop_cost(plan, candidate, _slowest(hops), gpu) if hops else None
    if cost is not None:
        total = format_duration(cost.total_s)
        yield f"stage hops: {cost.per_token:,} per token take {total}"
        yield f"  one moves {_one(cost, node)}"


def _one(cost: ExchangeCost, node: Node) -> str:
    rate = f"{cost.bytes_per_s / 1e9:,.3g} GB/s"
    each, link = format_duration(cost.each_s), link_words(cost.link, node.gpus)
    return f"{format_bytes(cost.message_bytes)} in {each} over {link} ({rate} expected)"
