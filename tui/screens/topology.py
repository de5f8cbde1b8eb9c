"""How the devices of a node reach each other, and what the highlighted layout sends there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from cluster.detail import NodeDetail
from cluster.inventory import Cluster, Node
from cluster.planner.exchanges import Exchanges, exchanges_of
from cluster.units import count_of
from tui.background import in_background
from tui.pace import Pace
from tui.roles import PlannedRoles, Role, live_roles
from tui.screens.dialog import Dialog
from tui.screens.find import FindScreen
from tui.styles import Styles, styles_of
from tui.topology.links import TwoLooks
from tui.topology.node import NodeTopology, links_down, node_topology
from tui.topology.sent import Sent, sent_on
from tui.views import ViewContext
from tui.widgets.header import badges_of
from tui.widgets.line_view import LineView
from tui.widgets.list_heading import HeadingWords, ListHeading
from tui.widgets.topology_lines import topology_lines

_LOOK_S = 1.0
_COLUMNS = 4
"""Columns of the matrix that one key press moves it by."""


class TopologyView(LineView):
    """The lines of one node."""

    def __init__(self) -> None:
        super().__init__()
        self._content: tuple[NodeTopology, Sent, dict[str, Role]] | None = None
        self._left = 0
        self._lines: list[Text] = []
        self._drawn_for = ""

    def show(self, topology: NodeTopology, sent: Sent, roles: dict[str, Role]) -> None:
        """Show other figures, or another node."""
        self._content, self._drawn_for = (topology, sent, roles), ""
        self.top = self.validate_top(self.top)
        self.redraw()

    def shift(self, columns: int) -> None:
        """Move the matrix sideways."""
        most = len(self._content[0].matrix.devices) - 1 if self._content else 0
        self._left = max(0, min(self._left + columns, most))
        self._drawn_for = ""
        self.redraw()

    def num_lines(self, width: int) -> int:
        return len(self._drawn())

    def draw_line(self, index: int, width: int, styles: Styles) -> Text:
        return self._drawn()[index].copy()

    def _drawn(self) -> list[Text]:
        theme = self.app.theme
        if self._content is not None and self._drawn_for != theme:
            self._lines, self._drawn_for = topology_lines(*self._content, styles_of(self), self._left), theme
        return self._lines


class TopologyScreen(Dialog[None]):
    """Shows one node at a time. The layout is the one that was highlighted when it was opened."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,T,enter", "leave", show=False),
        Binding("down,j", "scroll(1)", show=False),
        Binding("up,k", "scroll(-1)", show=False),
        Binding("pagedown,space", "scroll(15)", show=False),
        Binding("pageup", "scroll(-15)", show=False),
        Binding("home,g", "scroll(-100000)", show=False),
        Binding("end,G", "scroll(100000)", show=False),
        Binding("right", f"shift({_COLUMNS})", show=False),
        Binding("left", f"shift(-{_COLUMNS})", show=False),
        Binding("tab,n", "next_node(1)", show=False),
        Binding("shift+tab,N", "next_node(-1)", show=False),
        Binding("d", "next_down", show=False),
        Binding("slash", "find", show=False),
    ]

    def __init__(self, context: ViewContext) -> None:
        super().__init__()
        self._view_context = context
        self._node_id = _first_node(context)
        self._exchanges = Exchanges()
        self._exchanges_of: Cluster | None = None
        self._planned: Mapping[str, Role] = {}
        self._looks: dict[str, TwoLooks] = {}
        self._down: dict[str, int] = {}
        self._pace = Pace()
        self._not_found = ""
        """Why the last search went nowhere; '' once another node is shown."""

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog page list"):
            yield ListHeading()
            yield TopologyView()
            yield Static(
                Content("↑↓ scroll   ←→ paths   tab node   / find node   d links down   esc close"),
                classes="dialog-keys",
            )

    def on_mount(self) -> None:
        self.look()
        self.set_interval(_LOOK_S, self._look_again)

    def _look_again(self) -> None:
        """Look, unless a look is still under way, or has just taken long: keys come first."""
        if self._pace.is_due and not any(one.group == "look" and one.is_running for one in self.workers):
            self.look()

    @property
    def _cluster(self) -> Cluster | None:
        return self._view_context.app.store.snapshot.cluster

    @work(group="look", exclusive=True)
    async def look(self) -> None:
        """Take the newest figures; on thousands of GPUs that takes longer than a key may."""
        snapshot, candidate = self._view_context.app.store.snapshot, self._view_context.candidate
        cluster = snapshot.cluster
        if cluster is not None and candidate is not None and cluster is not self._exchanges_of:
            plan = self._view_context.plan
            training = plan is not None and plan.request.workload == "training"
            if not self._planned:
                self._planned = await in_background(PlannedRoles, candidate)
            self._exchanges = await in_background(exchanges_of, candidate, cluster, training=training)
            self._exchanges_of = cluster
        for detail in snapshot.details.values():
            self._remember(detail)
        with self._pace.look():
            self._down = await in_background(links_down, tuple(snapshot.details.values()))
        node = self._node()
        if cluster is not None and node is not None:
            self._show(cluster, node, *await in_background(self._describe, node))

    def _remember(self, detail: NodeDetail) -> None:
        known = self._looks.get(detail.node_id, TwoLooks())
        if known.now is not detail:
            self._looks[detail.node_id] = TwoLooks(detail, known.now)

    def _describe(self, node: Node) -> tuple[NodeTopology, Sent]:
        """Join what is known of a node. Runs in a thread of its own: a rack of 72 GPUs takes a while."""
        context, exchanges = self._view_context, self._exchanges.of_node(node.node_id)
        topology = node_topology(node, self._looks.get(node.node_id, TwoLooks()), exchanges)
        return topology, sent_on(node, self._exchanges, context.plan, context.candidate)

    def _show(self, cluster: Cluster, node: Node, topology: NodeTopology, sent: Sent) -> None:
        for view in self.query(TopologyView):
            view.show(topology, sent, self._roles(node))
        number = [one.node_id for one in cluster.nodes].index(node.node_id) + 1
        self._show_heading(node.name, _facts(node, number, len(cluster.nodes)), self._trouble(cluster))

    def _show_heading(self, node: str, facts: str, trouble: str) -> None:
        badges = tuple(badges_of(self._view_context.app.store.snapshot))
        words = HeadingWords(f"Topology of {node}", facts, "", trouble, badges, is_bad=True)
        for heading in self.query(ListHeading):
            heading.show(words)

    def _node(self) -> Node | None:
        nodes = () if self._cluster is None else self._cluster.nodes
        return next((node for node in nodes if node.node_id == self._node_id), nodes[0] if nodes else None)

    def _roles(self, node: Node) -> dict[str, Role]:
        """Return the roles that the highlighted layout gives the node's GPUs, else those that run there."""
        live = live_roles(self._view_context.app.store.snapshot.deployments)
        found = {gpu.uuid: self._planned.get(gpu.uuid) or live.get(gpu.uuid) for gpu in node.gpus}
        return {uuid: role for uuid, role in found.items() if role is not None}

    def _trouble(self, cluster: Cluster) -> str:
        if self._not_found or not self._down:
            return self._not_found
        names = [node.name for node in cluster.nodes if node.node_id in self._down]
        more = f" and {count_of(len(names) - 1, 'other node')}" if len(names) > 1 else ""
        links = count_of(sum(self._down.values()), "NVLink")
        return f"{links} down on {names[0]}{more}" if names else ""

    def action_scroll(self, lines: int) -> None:
        """Scroll."""
        for view in self.query(TopologyView):
            view.scroll_lines(lines)

    def action_shift(self, columns: int) -> None:
        """Move the matrix sideways."""
        for view in self.query(TopologyView):
            view.shift(columns)

    def action_next_node(self, step: int) -> None:
        """Show the next node, or the one before."""
        nodes, node = () if self._cluster is None else self._cluster.nodes, self._node()
        if node is not None:
            self._go_to(nodes[(nodes.index(node) + step) % len(nodes)])

    def action_next_down(self) -> None:
        """Show the next node with links down."""
        nodes, node = () if self._cluster is None else self._cluster.nodes, self._node()
        if node is not None:
            here = nodes.index(node)
            ordered = (*nodes[here + 1 :], *nodes[: here + 1])
            found = next((one for one in ordered if one.node_id in self._down), None)
            if found is not None:
                self._go_to(found)

    @work(group="find", exclusive=True)
    async def action_find(self) -> None:
        """Ask for a part of a node's name and show that node."""
        typed = await self.app.push_screen_wait(FindScreen("Find a node", "part of its name"))
        nodes = () if self._cluster is None else self._cluster.nodes
        found = next((node for node in nodes if typed and typed.lower() in node.name.lower()), None)
        if found is not None:
            self._go_to(found)
        elif typed:
            self._not_found = f"no node has '{typed}' in its name"
            self.look()

    def _go_to(self, node: Node) -> None:
        self._node_id, self._not_found = node.node_id, ""
        for view in self.query(TopologyView):
            view.top = 0
        self.look()


def _first_node(context: ViewContext) -> str:
    """Return the node of the map's cursor, else the first that the highlighted layout uses."""
    if context.place is not None:
        return context.place.node_id
    if context.candidate is not None:
        for place in context.candidate.placement:
            return place.node
    return ""


def _facts(node: Node, number: int, count: int) -> str:
    parts = [f"node {number:,} of {count:,}", count_of(len(node.gpus), "GPU")]
    if node.nvlink_domain is not None:
        parts.append(f"NVLink domain {node.nvlink_domain}")
    if node.network_bytes_per_s is not None:
        parts.append(f"network {node.network_bytes_per_s * 8 / 1e9:,.0f} Gb/s")
    if node.facts is not None and node.facts.driver_version:
        parts.append(f"driver {node.facts.driver_version}")
    if node.left is not None:
        parts.append("has left the cluster")
    elif node.error:
        parts.append(node.error)
    return ", ".join(parts)
