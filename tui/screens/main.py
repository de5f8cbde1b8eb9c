"""The main screen: the map, the plan, the deployments. It redraws from frozen snapshots."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll

from cluster.bridge.events import Progress
from tui.cluster_now import moved_gpus
from tui.messages import CandidateHighlighted, DisabledKeyClicked, StoreChanged
from tui.planning import Question
from tui.scene import used_by_deployments
from tui.screens.main_actions import MainActions
from tui.store import Snapshot
from tui.widgets.alternatives import Alternatives
from tui.widgets.candidate_note import CandidateNote
from tui.widgets.cluster_map import ClusterMap
from tui.widgets.comparison import Comparison
from tui.widgets.decision_path import DecisionPath
from tui.widgets.deployment_panel import DeploymentPanel
from tui.widgets.empty_state import EmptyState
from tui.widgets.header import Header
from tui.widgets.key_bar import KeyBar
from tui.widgets.pictures import Pictures
from tui.widgets.plan_summary import PlanSummary
from tui.widgets.rules_of_thumb import Lessons
from tui.widgets.section import Section
from tui.widgets.status_line import StatusLine

WIDE_CELLS = 160
TALL_LINES = 38
_LINES_AROUND = 5
_LINES_ABOUT_A_LAYOUT = 22
"""The question, the path to the answer, and the note on the highlighted layout at their longest."""
_WIDTHS = [(0, "-narrow"), (100, "-medium"), (WIDE_CELLS, "-wide")]
_HEIGHTS = [(0, "-short"), (TALL_LINES, "-tall")]


class MainScreen(MainActions):
    """Map above or left, plan below or right."""

    HORIZONTAL_BREAKPOINTS = _WIDTHS
    VERTICAL_BREAKPOINTS = _HEIGHTS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("R", "reconnect", "Reconnect", key_display="R"),
        Binding("m", "pick_model", "Model"),
        Binding("up", "move(-1)", "Layout", key_display="↑↓"),
        Binding("k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("d", "deploy", "Deploy"),
        Binding("x", "stop", "Stop"),
        Binding("p", "prompt", "Prompt"),
        Binding("tab", "toggle_panel", "Runs"),
        Binding("c", "explain", "Why"),
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("q", "app.quit", "Quit"),
        Binding("enter", "details", "Details", key_display="⏎"),
        Binding("w", "workload", "Workload"),
        Binding("r", "replan", "Replan"),
        Binding("t", "app.next_theme", "Theme"),
        Binding("v", "next_density", "View"),
        Binding("slash", "find_node", "Find", key_display="/"),
        Binding("s", "simulate", "Simulate"),
        Binding("n", "next_deployment", show=False),
        Binding("pagedown,space", "scroll_map(1)", show=False),
        Binding("pageup", "scroll_map(-1)", show=False),
    ]

    def __init__(self, question: Question) -> None:
        super().__init__(question)
        self._simulating = False

    def compose(self) -> ComposeResult:
        yield Header()
        with Vertical(id="body"):
            with Vertical(id="left"):
                yield ClusterMap(self._history, id="map")
                with VerticalScroll(id="comparison-box", can_focus=False):
                    yield Section("Side by side")
                    yield Comparison()
                    yield Lessons()
                    yield Pictures()
            with Vertical(id="right"):
                with Vertical(id="plan"):
                    yield PlanSummary("Joining the cluster. The plan follows.", id="summary")
                    yield DecisionPath(id="path")
                    yield Alternatives(id="alternatives")
                    yield CandidateNote(id="note")
                with Vertical(id="runs"):
                    yield Section("Deployments")
                    yield DeploymentPanel(id="deployments")
        yield EmptyState(id="empty")
        yield StatusLine(Progress(message="joining the cluster"))
        yield KeyBar()

    def _history(self, gpu_uuid: str) -> tuple[float, ...]:
        return self.view.store.history(gpu_uuid)

    def on_mount(self) -> None:
        self.set_interval(1.0, self.redraw_map)

    def on_resize(self, event: events.Resize) -> None:
        """Give the map its share of the screen before it is measured."""
        if self.query_one_optional(PlanSummary) is None:
            return  # the app is left before its screen was composed
        width, height = event.size
        wide, tall = width >= WIDE_CELLS, height >= TALL_LINES
        room = height * 3 // 5 if wide and tall else height - (28 if tall else 13)
        self.query_one(ClusterMap).give_room(max(2, room), height // 3 if wide and tall else room)
        self.query_one(DecisionPath).make_roomy(tall, wide)
        self.query_one(CandidateNote).give_room(10 if tall else 3)
        self._share_room(height, both=wide and tall)
        self.query_one(PlanSummary).make_roomy(tall)

    def _share_room(self, height: int, both: bool) -> None:
        """Where plan and runs share a column: list as many layouts as leave room for the note on one."""
        share = 0.7 if self.view.store.snapshot.deployments else 0.9
        room = int((height - _LINES_AROUND) * share) - _LINES_ABOUT_A_LAYOUT
        self.query_one(Alternatives).styles.max_height = max(6, room) if both else None

    def on_store_changed(self, _: StoreChanged) -> None:
        """Take the newest snapshot; plan again when the inventory changed."""
        snapshot = self.view.store.snapshot
        self.query_one(Header).show(snapshot, self.view.session.title)
        self.query_one(StatusLine).show(snapshot.progress, snapshot.lost)
        panel = self.query_one(DeploymentPanel)
        if panel.selected is not None and not snapshot.deployments:
            self.remove_class("-show-deployment")
        if bool(snapshot.deployments) != (panel.selected is not None):
            both = self.has_class("-wide") and self.has_class("-tall")
            self._share_room(self.size.height, both)
        self.orders.see(snapshot)
        panel.show(snapshot.deployments, used_by_deployments(snapshot), self.orders.ordered)
        self._show_whether_empty(snapshot)
        self.redraw_map()
        if snapshot.cluster is not None and snapshot.planning_key != self.planned_for:
            self.replan()
        elif self.plan is not None:
            self.query_one(PlanSummary).show_moved(moved_gpus(self.plan.cluster, snapshot))
        self.refresh_bindings()

    def on_candidate_highlighted(self, _: CandidateHighlighted) -> None:
        self.show_candidate()

    def _show_whether_empty(self, snapshot: Snapshot) -> None:
        """Say what to type where there is no GPU; a demonstration opens its simulated cluster instead."""
        empty = snapshot.cluster is not None and snapshot.cluster.num_gpus == 0
        setup = self.view.setup
        if empty and setup.simulate_without_gpus and not self._simulating:
            self.action_simulate()
            return
        self.set_class(empty, "-empty")
        if empty:
            self.query_one(EmptyState).show(snapshot, setup.simulated_name)

    def action_simulate(self) -> None:
        """Open the simulated cluster on a machine without GPUs."""
        if self.view.setup.open_simulated is not None and not self._simulating:
            self._simulating = True
            self.planned_for = ()
            self.remove_class("-empty")
            # Gives way to the first word of the new session.
            self.query_one(StatusLine).show(Progress(message="opening a simulated cluster"), None)
            self.view.use_session(self.view.setup.open_simulated())

    def on_key(self, event: events.Key) -> None:
        """Answer a key that is dimmed; the others find their way through the bindings."""
        active = self.active_bindings.get(event.key)
        if active is not None and not active.enabled:
            self.answer_disabled(active.binding.action)

    def on_disabled_key_clicked(self, message: DisabledKeyClicked) -> None:
        self.answer_disabled(message.action)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Dim what cannot be done now."""
        return self.possible(action)
