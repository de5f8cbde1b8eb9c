"""The main screen: which keys work, what they do, and when the panels are drawn again.

What is asked of the planner is in `Planning`, what is asked of the cluster in `Orders`, what is on screen in
`MainPanels`. Nothing here waits for a node on the screen's thread.
"""

from __future__ import annotations

from typing import ClassVar

from textual import events, work
from textual.app import ComposeResult
from textual.binding import BindingType

from cluster.bridge.events import Progress
from cluster.planner.fixes.text import describe_fix
from cluster.planner.layout import Layout
from cluster.planner.result import Candidate
from tui.background import in_background
from tui.confirmations import Confirmation
from tui.context import AppContext
from tui.fixes import applicable_fixes
from tui.key_availability import why_disabled
from tui.messages import (
    CandidateHighlighted,
    DisabledKeyClicked,
    ReconnectRequested,
    SimulationRequested,
    StoreChanged,
)
from tui.orders import Orders
from tui.planning import Planning
from tui.question import Question
from tui.replay import REPLAY_KEYS, ReplayKeys, replay_of
from tui.screens.dialog_keys import DialogKeys
from tui.screens.main_dialogs import MainDialogs
from tui.screens.main_keys import MAIN_KEYS
from tui.screens.main_panels import TALL_LINES, WIDE_CELLS, MainPanels
from tui.screens.map_keys import MapKeys
from tui.widgets.status_line import Kind

_LONG_S = 3.0
"""A plan that takes longer is announced on the status line."""


class MainScreen(ReplayKeys, DialogKeys, MapKeys):
    """Map above or left, plan below or right."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-medium"), (WIDE_CELLS, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (TALL_LINES, "-tall")]
    BINDINGS: ClassVar[list[BindingType]] = [*REPLAY_KEYS, *MAIN_KEYS]

    def __init__(self, context: AppContext) -> None:
        super().__init__()
        self.app_context = context
        self.planning = Planning(context, Question(context.setup.models, context.setup.request))
        self.orders = Orders(context, self.planning, self)
        self.panels = MainPanels(context, self.planning, self.orders.open)
        self._simulating = False
        self._wanted: Layout | None = None
        """What a fix was applied for, until it is planned."""

    @property
    def dialogs(self) -> MainDialogs:
        """What opens dialogs over this screen."""
        return MainDialogs(self.app, self.app_context, self.planning, self.panels)

    def compose(self) -> ComposeResult:
        yield from self.panels.compose()

    def on_mount(self) -> None:
        self.set_interval(1.0, self.panels.redraw_map)

    def on_resize(self, event: events.Resize) -> None:
        """Give the map its share of the screen before it is measured."""
        if self.panels.plan.is_attached:  # else the app is left before its screen was composed
            self.panels.fit(event.size.width, event.size.height)

    def on_store_changed(self, _: StoreChanged) -> None:
        """Show the newest snapshot; plan again when the inventory changed."""
        if self.panels.deployment is not None and not self.app_context.store.snapshot.deployments:
            self.show_deployments(False)
        self.panels.show_snapshot(*self.size)
        self._show_whether_empty()
        if self.planning.out_of_date:
            self.replan()
        self.refresh_bindings()

    def _show_whether_empty(self) -> None:
        """Show what to type where there is no GPU; a demo opens its simulated cluster instead."""
        cluster, setup = self.app_context.store.snapshot.cluster, self.app_context.setup
        empty = cluster is not None and not any(node.gpus for node in cluster.nodes)
        if empty and setup.simulate_without_gpus and not self._simulating:
            self.action_simulate()
        else:
            self.set_class(empty, "-empty")

    def on_candidate_highlighted(self, _: CandidateHighlighted) -> None:
        self._show_candidate()

    def _show_candidate(self) -> None:
        self.panels.show_candidate()
        self.refresh_bindings()
        # Placing shares the interpreter with drawing, so the picture comes first.
        self.call_after_refresh(self._prepare_neighbors)

    def _prepare_neighbors(self) -> None:
        """Place the layouts that the next key may highlight, so that it need not wait for them."""
        missing = self.panels.unprepared_neighbors()
        if missing:
            self._prepare(missing)

    @work(group="prepare", exclusive=True, exit_on_error=False)
    async def _prepare(self, candidates: tuple[Candidate, ...]) -> None:
        await in_background(self.panels.prepare, candidates)

    def _ask(self, question: Question | None, wanted: Layout | None = None) -> None:
        """Plan something else; the cursor goes to the `wanted` layout if it fits then."""
        if question is None:
            return
        self._wanted = wanted
        self.planning.question = question
        # Where there is room for one panel only, the answer must not come behind the other.
        self.show_deployments(False)
        self.panels.plan.summary.show(None, f"Planning {question.models[-1]}")
        self.replan()

    @work(exclusive=True, group="plan")
    async def replan(self) -> None:
        """Answer the question on the cluster as it is now."""
        name = self.planning.question.models[-1]
        message = f"Still planning {name}. Press m for another model, w for another workload."
        announce = self.set_timer(_LONG_S, lambda: self.say(message))
        try:
            if await self.planning.replan():
                self.show_plan()
                wanted, self._wanted = self._wanted, None
                if wanted is not None and self.panels.highlight(wanted):
                    self._show_candidate()
        finally:
            announce.stop()

    # What orders need from the screen: tui.orders.OrdersView.

    def say(self, message: str, kind: Kind = "info") -> None:
        """Put a message on the status line."""
        self.panels.status.say(message, kind)

    def show_notice(self, title: str, message: str, hint: str = "") -> None:
        """Show a dialog with a message."""
        self.dialogs.notice(title, message, hint)

    async def confirm(self, confirmation: Confirmation) -> bool:
        """Ask the user; False unless they agree."""
        return await self.dialogs.confirm(confirmation)

    def show_plan(self) -> None:
        """Show the latest plan, or why there is none."""
        self.panels.show_plan()
        if self.planning.failure:
            self.say(self.planning.failure, "bad")
        self.refresh_bindings()
        # Placing shares the interpreter with drawing, so the picture comes first.
        self.call_after_refresh(self._prepare_neighbors)

    def show_orders(self) -> None:
        """Show the open orders, and dim the keys that wait for them."""
        self.panels.show_orders()
        self.refresh_bindings()

    def show_deployments(self, shown: bool) -> None:
        """Bring the deployments to the front, or the plan."""
        self.set_class(shown, "-show-deployment")

    # Which keys work.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether an action makes sense now: None dims its key, False hides it."""
        if not self.is_mounted:
            return True
        setup = self.app_context.setup
        if self.is_elsewhere(action, parameters):
            return False
        if action == "simulate":
            return self.has_class("-empty") and setup.open_simulated is not None
        if action == "replay":
            return replay_of(self.app_context.session) is not None
        if action == "reconnect":
            return self.app_context.store.snapshot.lost is not None and setup.reopen is not None
        return None if why_disabled(action, self.panels.key_context(*self.size)) else True

    def on_key(self, event: events.Key) -> None:
        """Show why a dimmed key does nothing; bindings handle the others."""
        for binding in self._bindings.key_to_bindings.get(event.key, ()):
            if self.check_action(binding.action.partition("(")[0], ()) is None:
                self._answer_disabled(binding.action)

    def on_disabled_key_clicked(self, message: DisabledKeyClicked) -> None:
        self._answer_disabled(message.action)

    def _answer_disabled(self, action: str) -> None:
        self.panels.status.answer(why_disabled(action.partition("(")[0], self.panels.key_context(*self.size)))

    # What the keys do.

    def action_move(self, lines: int) -> None:
        """Move the cursor in the list of layouts."""
        # At once rather than by a message: list, map and note then change in one picture, not in two.
        if self.panels.plan.alternatives.move(lines):
            self._show_candidate()

    def action_replan(self) -> None:
        """Plan again on the latest readings."""
        self.replan()
        self.say("Replanning with current free memory.")

    def action_toggle_panel(self) -> None:
        """Switch between the plan and the deployments, where there is room for one only."""
        self.toggle_class("-show-deployment")

    def action_next_deployment(self) -> None:
        """Select the next deployment."""
        self.panels.deployments.select_next()
        self.refresh_bindings()

    @work(group="dialog", exclusive=True)
    async def action_pick_model(self) -> None:
        self._ask(await self.dialogs.pick_model())

    @work(group="dialog", exclusive=True)
    async def action_workload(self) -> None:
        self._ask(await self.dialogs.change_workload())

    @work(group="dialog", exclusive=True)
    async def action_apply_fix(self) -> None:
        """Plan again with a fix of the highlighted layout, chosen where there are several."""
        plan, candidate = self.planning.plan, self.panels.candidate
        if plan is None or candidate is None:
            return
        fix = await self.dialogs.pick_fix(candidate, applicable_fixes(candidate, plan.request))
        if fix is not None:
            request = fix.asked(self.planning.question.request)
            self._ask(Question(self.planning.models, request), fix.layout or candidate.layout)
            self.say(f"Planning with {describe_fix(fix)}. Press w to change it back.")

    @work(group="dialog", exclusive=True)
    async def action_deploy(self) -> None:
        """Plan on the latest readings, ask once, and order the highlighted layout."""
        wanted = self.panels.candidate
        spec = await self.orders.prepare(wanted) if wanted is not None else None
        if spec is not None:
            self.run_worker(self.orders.deploy(spec), group="order")

    @work(group="dialog", exclusive=True)
    async def action_stop(self) -> None:
        """Ask once, and stop the selected deployment."""
        deployment = self.panels.deployment
        if deployment is not None and await self.orders.confirm_stop(deployment):
            self.run_worker(self.orders.stop(deployment.name), group="order")

    def action_scale_up(self) -> None:
        self._scale(1)

    def action_scale_down(self) -> None:
        self._scale(-1)

    @work(group="dialog", exclusive=True)
    async def _scale(self, by: int) -> None:
        """Ask once, and change the number of replicas of the selected deployment."""
        deployment = self.panels.deployment
        wanted = await self.orders.prepare_scale(deployment, by) if deployment is not None else None
        if wanted is not None:
            self.run_worker(self.orders.scale(wanted), group="order")

    def action_reconnect(self) -> None:
        """Join the cluster again after its session was lost."""
        self.post_message(ReconnectRequested())

    def action_simulate(self) -> None:
        """Open the simulated cluster on a machine without GPUs."""
        if self.app_context.setup.open_simulated is not None and not self._simulating:
            self._simulating = True
            self.planning.forget()
            self.remove_class("-empty")
            # Gives way to the first event of the new session.
            self.panels.status.show(Progress(message="opening a simulated cluster"), None)
            self.post_message(SimulationRequested())
