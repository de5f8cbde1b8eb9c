"""The panels of the main screen: how they are arranged, and what each shows of a snapshot and of a plan."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical

from cluster.bridge.events import Progress
from cluster.deploy.status import DeploymentStatus
from cluster.planner.layout import Layout
from cluster.planner.result import Candidate
from tui.background import is_abandoned
from tui.context import AppContext
from tui.deploy_spec import engine_of, not_runnable
from tui.fixes import fixed_candidate
from tui.key_availability import KeyContext
from tui.open_orders import OpenOrders
from tui.planning import Planning
from tui.replay import replay_line, replay_of
from tui.scene import SceneBuilder, used_by_deployments
from tui.widgets.cluster_map import ClusterMap
from tui.widgets.deployment_panel import DeploymentPanel
from tui.widgets.empty_state import EmptyState
from tui.widgets.explanations import Explanations
from tui.widgets.header import Header
from tui.widgets.key_bar import KeyBar
from tui.widgets.plan_panel import PlanPanel
from tui.widgets.section import Section
from tui.widgets.status_line import StatusLine

WIDE_CELLS = 160
TALL_LINES = 38


class MainPanels:
    """Holds the widgets, so that the screen asks for none by name. Not a widget itself."""

    def __init__(self, context: AppContext, planning: Planning, orders: OpenOrders) -> None:
        self._context, self._planning, self._orders = context, planning, orders
        self._scenes = SceneBuilder()
        self.not_runnable = ""
        """Why the built-in engine cannot run the highlighted layout."""
        self._header = Header()
        self.map = ClusterMap(self._history, id="map")
        self._explanations = Explanations(id="comparison-box")
        self.plan = PlanPanel("Connecting to the cluster. The plan will appear here.", id="plan")
        self.deployments = DeploymentPanel(id="deployments")
        self._empty = EmptyState(id="empty")
        self.status = StatusLine(Progress(message="connecting to the cluster"))

    def compose(self) -> ComposeResult:
        """Arrange the widgets: one column or two, as the style sheet has it for the screen's size."""
        yield self._header
        with Vertical(id="body"):
            with Vertical(id="left"):
                yield self.map
                yield self._explanations
            with Vertical(id="right"):
                yield self.plan
                with Vertical(id="runs"):
                    yield Section("Deployments")
                    yield self.deployments
        yield self._empty
        yield self.status
        yield KeyBar()

    def _history(self, gpu_uuid: str) -> tuple[float, ...]:
        return self._context.store.history(gpu_uuid)

    @property
    def candidate(self) -> Candidate | None:
        """The highlighted layout."""
        return self.plan.alternatives.candidate

    @property
    def deployment(self) -> DeploymentStatus | None:
        """The deployment that keys act on."""
        return self.deployments.selected

    def key_context(self, width: int, height: int) -> KeyContext:
        """Collect what decides which keys work, on a screen of `width` cells and `height` lines."""
        return KeyContext(
            snapshot=self._context.store.snapshot,
            can_deploy=self._context.session.can_deploy,
            plan=self._planning.plan,
            candidate=self.candidate,
            not_runnable=self.not_runnable,
            assumed_stopped=self._planning.assumed_stopped,
            deployment=self.deployment,
            ordered=self._orders.ordered,
            stopping=self._orders.stopping,
            scaling=self._orders.scaling,
            num_panels=2 if shows_both(width, height) else 1,
            node=self.map.node_at_cursor,
        )

    def fit(self, width: int, height: int) -> None:
        """Divide a screen of `width` cells and `height` lines among the panels."""
        tall, both = height >= TALL_LINES, shows_both(width, height)
        room = height * 3 // 5 if both else height - (28 if tall else 13)
        self.map.set_max_lines(max(2, room), height // 3 if both else room)
        self.plan.fit(tall, width >= WIDE_CELLS)
        self._share_column(width, height)

    def _share_column(self, width: int, height: int) -> None:
        """Limit the list of layouts where plan and deployments share a column."""
        shared = height if shows_both(width, height) else None
        self.plan.limit(shared, bool(self._context.store.snapshot.deployments))

    def show_snapshot(self, width: int, height: int) -> None:
        """Show what the session has reported last, on a screen of `width` cells and `height` lines."""
        snapshot = self._context.store.snapshot
        self._header.show(snapshot, self._context.session.title)
        self.status.show(snapshot.progress, snapshot.lost)
        if bool(snapshot.deployments) != (self.deployment is not None):
            self._share_column(width, height)
        self._orders.update(snapshot)
        self.show_orders()
        self._empty.show(snapshot, self._context.setup.simulated_name)
        if self._planning.plan is not None and not self._planning.out_of_date:
            self.plan.summary.show_moved(self._planning.num_moved_gpus)
        self.redraw_map()

    def show_orders(self) -> None:
        """Show the deployments, and an order whose deployment does not show yet."""
        snapshot = self._context.store.snapshot
        used = used_by_deployments(snapshot)
        self.deployments.show(snapshot.deployments, used, self._orders.ordered)

    def show_plan(self) -> None:
        """Show the latest plan, or why there is none."""
        planning, plan = self._planning, self._planning.plan
        engine = engine_of(plan) if plan is not None and self._context.session.can_deploy else None
        self.plan.show(plan, planning.failure, planning.assumed_stopped, engine)
        self._explanations.show(plan)
        self.show_candidate()

    def show_candidate(self) -> None:
        """Show the highlighted layout."""
        can_deploy = self._context.session.can_deploy
        self.not_runnable = not_runnable(self._planning.plan, self.candidate) if can_deploy else ""
        self.plan.show_candidate(self.not_runnable)
        self._explanations.show_candidate(self._planning.plan, self.candidate)
        self.redraw_map()

    def unprepared_neighbors(self) -> tuple[Candidate, ...]:
        """Return the layouts next to the highlighted one that the map cannot draw at once."""
        neighbors = self.plan.alternatives.neighbors
        return tuple(item for item in neighbors if not self._scenes.is_prepared(item))

    def prepare(self, candidates: tuple[Candidate, ...]) -> None:
        """Place layouts ahead of the key that highlights them. Runs in a worker thread."""
        for candidate in candidates:
            if is_abandoned():
                return
            self._scenes.prepare(candidate)

    def highlight(self, layout: Layout) -> bool:
        """Move the cursor to the feasible layout that is most like this one; False where none is."""
        plan = self._planning.plan
        found = fixed_candidate(plan, layout) if plan is not None else None
        if found is not None:
            self.plan.alternatives.highlight(found)
        return found is not None

    def redraw_map(self) -> None:
        """Draw the map as of now, so that ages grow, and count the events that nobody has looked at."""
        context = self._context
        self._header.show_unseen(context.store.incidents)
        replay = replay_of(context.session)
        self.status.show_idle(replay_line(replay.position) if replay is not None else "")
        self.map.show(self._scenes.scene(context.store.snapshot, self.candidate, context.setup.clock()))


def shows_both(width: int, height: int) -> bool:
    """Return whether a screen has room for the plan and the deployments at once."""
    return width >= WIDE_CELLS and height >= TALL_LINES
