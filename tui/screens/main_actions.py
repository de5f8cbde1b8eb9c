"""What the keys of the main screen do. Nothing here waits for a node on the screen's thread."""

from __future__ import annotations

from textual import work

from cluster.deploy.spec import FULL_SIZE
from tui.key_availability import Situation, obstacle
from tui.planning import Question
from tui.screens.candidate_detail import CandidateDetail
from tui.screens.explain import ExplainScreen
from tui.screens.find import FindScreen
from tui.screens.help import HelpScreen
from tui.screens.main_orders import MainOrders
from tui.screens.model_picker import ModelPicker
from tui.screens.prompt import PromptScreen
from tui.screens.workload_form import WorkloadForm
from tui.widgets.alternatives import Alternatives
from tui.widgets.cluster_map import ClusterMap
from tui.widgets.deployment_panel import DeploymentPanel
from tui.widgets.status_line import StatusLine


class MainActions(MainOrders):
    """The actions behind the keys."""

    def possible(self, action: str) -> bool | None:
        """Tell whether an action makes sense now: None dims its key, False hides it."""
        if not self.is_mounted:
            return True
        if action == "simulate":
            return self.has_class("-empty") and self.view.setup.open_simulated is not None
        if action == "reconnect":
            return self.view.store.snapshot.lost is not None and self.view.setup.reopen is not None
        return None if obstacle(action, self._situation()) else True

    def answer_disabled(self, action: str) -> None:
        """Say why a key does nothing now."""
        name = action.partition("(")[0]
        self.query_one(StatusLine).answer(obstacle(name, self._situation()))

    def _situation(self) -> Situation:
        return Situation(
            snapshot=self.view.store.snapshot,
            can_deploy=self.view.session.can_deploy,
            plan=self.plan,
            candidate=self.candidate,
            as_if_stopped=self.as_if_stopped,
            not_runnable=self.not_runnable,
            deployment=self.deployment,
            ordered=self.orders.ordered,
            stopping=self.orders.stopping,
            num_panels=2 if self.has_class("-wide") and self.has_class("-tall") else 1,
        )

    def action_move(self, lines: int) -> None:
        """Move the cursor in the list of layouts."""
        # At once rather than by a message: list, map and note then change in one picture, not in two.
        if self.query_one(Alternatives).move(lines):
            self.show_candidate()

    def action_scroll_map(self, pages: int) -> None:
        """Turn the pages of what runs where it is in front and does not fit, else those of the map."""
        panel = self.query_one(DeploymentPanel)
        in_front = (
            self.has_class("-show-deployment") and panel.num_lines(panel.size.width) > panel.size.height
        )
        view = panel if in_front else self.query_one(ClusterMap)
        view.scroll_lines(pages * max(1, view.size.height - 2))

    def action_replan(self) -> None:
        """Plan again on the readings of this moment."""
        self.replan()
        self.say("Planned again on the readings of this moment.")

    def action_toggle_panel(self) -> None:
        """Switch between the plan and what runs, where there is room for one only."""
        self.toggle_class("-show-deployment")

    def action_next_deployment(self) -> None:
        """Select the next deployment."""
        self.query_one(DeploymentPanel).select_next()
        self.refresh_bindings()

    def action_next_density(self) -> None:
        """Show the map in the next of its ways, from tiles to one sign a GPU."""
        self.query_one(ClusterMap).next_density()

    @work(group="dialog", exclusive=True)
    async def action_find_node(self) -> None:
        """Bring a node to the top of the map."""
        words = await self.app.push_screen_wait(FindScreen("Find a node", "part of its name"))
        if words and not self.query_one(ClusterMap).reveal(words):
            self.say(f"No node is named like {words}.", "warning")

    @work(group="dialog", exclusive=True)
    async def action_pick_model(self) -> None:
        """Choose a model from the catalogue."""
        name = await self.app.push_screen_wait(ModelPicker(self.plan.model.name if self.plan else ""))
        if name:
            self.ask(Question((name,), self.question.request))

    @work(group="dialog", exclusive=True)
    async def action_workload(self) -> None:
        """Change tokens, requests, limits and pins."""
        request = await self.app.push_screen_wait(WorkloadForm(self.question.request))
        if request is not None:
            models = (self.plan.model.name,) if self.plan and len(self.question.models) > 1 else ()
            self.ask(Question(models or self.question.models, request))

    def action_reconnect(self) -> None:
        """Join the cluster again after the session gave it up; what was known of it stays, as old."""
        if self.view.setup.reopen is not None:
            self.view.rejoin(self.view.setup.reopen)

    def action_help(self) -> None:
        """Teach all keys."""
        self.app.push_screen(HelpScreen())

    def action_explain(self) -> None:
        """Compare the strategies with this user's figures."""
        if self.plan is not None:
            setup = self.view.setup
            self.app.push_screen(ExplainScreen(self.plan, self.candidate, setup.plan, setup.examples))

    def action_details(self) -> None:
        """Show everything about the highlighted layout."""
        if self.plan is not None and self.candidate is not None:
            self.app.push_screen(CandidateDetail(self.plan, self.candidate))

    def action_prompt(self) -> None:
        """Talk to the selected deployment."""
        deployment = self.deployment
        if deployment is not None:
            is_scaled = deployment.scale not in (None, FULL_SIZE)
            remark = "DUMMY WEIGHTS. Expect noise." if deployment.weights == "dummy" else ""
            if is_scaled:
                remark = f"SIMULATED, scaled model: {deployment.scale}. Expect noise."
            self.app.push_screen(PromptScreen(self.view.session, deployment.name, self.view.store, remark))
