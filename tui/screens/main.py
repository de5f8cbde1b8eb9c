"""The main screen: the map, the plan, the deployments. It redraws from frozen snapshots."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar, cast

from textual import events, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll

from cluster.bridge.events import Progress
from cluster.errors import ClusterviewError
from cluster.planner.result import Candidate, Plan
from tui.messages import CandidateHighlighted, StoreChanged
from tui.planning import Question, answer, current_cluster
from tui.scene import scene_of
from tui.screens.main_actions import MainActions
from tui.widgets.alternatives import Alternatives
from tui.widgets.candidate_note import CandidateNote
from tui.widgets.cluster_map import ClusterMap
from tui.widgets.comparison import Comparison
from tui.widgets.decision_path import DecisionPath
from tui.widgets.deployment_panel import DeploymentPanel
from tui.widgets.header import Header
from tui.widgets.key_bar import KeyBar
from tui.widgets.lessons import Lessons
from tui.widgets.plan_summary import PlanSummary
from tui.widgets.section import Section
from tui.widgets.status_line import Kind, StatusLine

WIDE_CELLS = 160
TALL_LINES = 34

if TYPE_CHECKING:
    from tui.app import ClusterviewApp


_WIDTHS = [(0, "-narrow"), (100, "-medium"), (WIDE_CELLS, "-wide")]
_HEIGHTS = [(0, "-short"), (TALL_LINES, "-tall")]


class MainScreen(MainActions):
    """Map above or left, plan below or right."""

    HORIZONTAL_BREAKPOINTS = _WIDTHS
    VERTICAL_BREAKPOINTS = _HEIGHTS
    BINDINGS: ClassVar[list[BindingType]] = [
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
        Binding("n", "next_deployment", show=False),
        Binding("pagedown,space", "scroll_map(1)", show=False),
        Binding("pageup", "scroll_map(-1)", show=False),
    ]

    def __init__(self, question: Question) -> None:
        super().__init__()
        self.question = question
        self.plan: Plan | None = None
        self._planned_version = 0

    @property
    def view(self) -> ClusterviewApp:
        return cast("ClusterviewApp", self.app)

    def compose(self) -> ComposeResult:
        session = self.view.session
        yield Header(session.title if session else "no cluster")
        with Vertical(id="body"):
            with Vertical(id="left"):
                yield ClusterMap(self._history, id="map")
                with VerticalScroll(id="comparison-box", can_focus=False):
                    yield Section("Side by side")
                    yield Comparison()
                    yield Lessons()
            with Vertical(id="right"):
                with Vertical(id="plan"):
                    yield PlanSummary(id="summary")
                    yield DecisionPath(id="path")
                    yield Alternatives(id="alternatives")
                    yield CandidateNote(id="note")
                with Vertical(id="runs"):
                    yield Section("Deployments")
                    yield DeploymentPanel(id="deployments")
        yield StatusLine()
        yield KeyBar()

    def on_mount(self) -> None:
        self.set_class(self.view.session is None, "-empty")
        self.set_interval(1.0, self.redraw_map)
        self.query_one(PlanSummary).show(None, "Joining the cluster. The plan follows.")
        self.query_one(StatusLine).show(Progress(message="joining the cluster"), None)

    def on_resize(self, event: events.Resize) -> None:
        """Give the map its share of the screen before it is measured."""
        width, height = event.size
        wide, tall = width >= WIDE_CELLS, height >= TALL_LINES
        cluster_map = self.query_one(ClusterMap)
        cluster_map.room = height * 3 // 5 if wide and tall else max(2, height - (20 if tall else 13))
        self.query_one(DecisionPath).make_roomy(tall)
        self.query_one(PlanSummary).make_roomy(tall)

    def on_store_changed(self, _: StoreChanged) -> None:
        """Take the newest snapshot; plan again when the inventory changed."""
        snapshot = self.view.store.snapshot
        self.query_one(Header).show(snapshot)
        self.query_one(StatusLine).show(snapshot.progress, snapshot.lost)
        self.query_one(DeploymentPanel).show(snapshot.deployments)
        self.redraw_map()
        if snapshot.cluster is not None and snapshot.cluster_version != self._planned_version:
            self.replan()
        self.refresh_bindings()

    def _history(self, gpu_uuid: str) -> tuple[float, ...]:
        return self.view.store.history(gpu_uuid)

    @property
    def candidate(self) -> Candidate | None:
        """The highlighted layout."""
        return self.query_one(Alternatives).candidate

    def redraw_map(self) -> None:
        """Draw the map as of now, so that ages grow."""
        snapshot = self.view.store.snapshot
        self.query_one(ClusterMap).show(scene_of(snapshot, self.candidate, self.view.setup.clock()))

    def ask(self, question: Question) -> None:
        """Plan something else."""
        self.question = question
        self.query_one(PlanSummary).show(None, f"Planning {question.models[-1]}")
        self.replan()

    @work(exclusive=True, group="plan")
    async def replan(self) -> None:
        """Answer the question on the cluster as it is now, off the screen's thread."""
        snapshot = self.view.store.snapshot
        cluster = current_cluster(snapshot)
        self._planned_version = snapshot.cluster_version
        if cluster is None or not self.question.models:
            return
        try:
            found = await asyncio.to_thread(answer, self.question, cluster, self.view.setup.plan)
        except ClusterviewError as error:
            self.show_plan(None)
            self.query_one(PlanSummary).show(None, error.one_line())
            return
        self.show_plan(found)

    def show_plan(self, plan: Plan | None) -> None:
        """Show a plan in every panel that speaks of it."""
        self.plan = plan
        self.query_one(PlanSummary).show(plan)
        self.query_one(DecisionPath).show(plan)
        self.query_one(Alternatives).show(plan)
        self.query_one(Comparison).show(plan)
        self.query_one(Lessons).show(plan)
        self.show_candidate()

    def show_candidate(self) -> None:
        """Show the highlighted layout on the map and in words."""
        advice = self.plan.advice if self.plan is not None and self.plan.recommended is None else ()
        self.query_one(CandidateNote).show(self.candidate, advice)
        self.redraw_map()
        self.refresh_bindings()

    def on_candidate_highlighted(self, _: CandidateHighlighted) -> None:
        self.show_candidate()

    def action_move(self, lines: int) -> None:
        """Move the cursor in the list of layouts."""
        self.query_one(Alternatives).move(lines)

    def action_scroll_map(self, pages: int) -> None:
        """Turn the pages of the map."""
        cluster_map = self.query_one(ClusterMap)
        cluster_map.scroll_lines(pages * max(1, cluster_map.size.height - 2))

    def action_replan(self) -> None:
        """Plan again on the readings of this moment."""
        self.replan()
        self.say("Planned again on the readings of this moment.")

    def action_toggle_panel(self) -> None:
        """Switch between the plan and what runs, where there is room for one only."""
        self.toggle_class("-show-deployment")

    def say(self, message: str, kind: Kind = "info") -> None:
        """Put a message on the status line."""
        self.query_one(StatusLine).say(message, kind)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Dim what cannot be done now: None dims a key, False hides it."""
        return self.possible(action)
