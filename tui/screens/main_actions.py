"""What the keys of the main screen do. Nothing here waits for a node on the screen's thread."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future

from textual import work

from cluster.deploy.spec import FULL_SIZE, DeploymentSpec
from cluster.deploy.status import SERVING
from cluster.errors import ClusterviewError
from cluster.planner.result import Candidate, Plan
from cluster.text import clean
from tui.confirmations import confirm_deploy, confirm_stop, no_longer_fits
from tui.planning import OrderContext, Question, weights_folder
from tui.screens.candidate_detail import CandidateDetail
from tui.screens.confirm import ConfirmScreen
from tui.screens.explain import ExplainScreen
from tui.screens.find import FindScreen
from tui.screens.help import HelpScreen
from tui.screens.main_planning import MainPlanning
from tui.screens.model_picker import ModelPicker
from tui.screens.notice import NoticeScreen
from tui.screens.prompt import PromptScreen
from tui.screens.workload_form import WorkloadForm
from tui.widgets.alternatives import Alternatives
from tui.widgets.cluster_map import ClusterMap
from tui.widgets.deployment_panel import DeploymentPanel

_NEED_A_PLAN = ("explain", "details", "move", "replan", "workload")


class MainActions(MainPlanning):
    """The actions behind the keys."""

    def possible(self, action: str) -> bool | None:
        """Tell whether an action makes sense now: None dims its key, False hides it."""
        if not self.is_mounted:
            return True
        deployment, snapshot = self.deployment, self.view.store.snapshot
        can_change = self.view.session.can_deploy and snapshot.lost is None
        if action == "simulate":
            return self.has_class("-empty") and self.view.setup.open_simulated is not None
        if action == "deploy":
            fits = self.candidate is not None and self.candidate.feasible and not self.as_if_stopped
            return True if can_change and fits else None
        if action == "stop":
            return True if can_change and deployment is not None else None
        if action == "prompt":
            return True if can_change and deployment and deployment.state in SERVING else None
        if action in _NEED_A_PLAN:
            return True if self.plan is not None else None
        return True

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

    @work(group="dialog", exclusive=True)
    async def action_deploy(self) -> None:
        """Look at the cluster again, ask once, and order the highlighted layout."""
        wanted = self.candidate
        if wanted is None:
            return
        try:
            plan, candidate = await self.look_again(wanted)
            if candidate is None or not candidate.feasible:
                self.app.push_screen(NoticeScreen(*no_longer_fits(wanted, candidate, plan)))
                return
            spec = await asyncio.to_thread(self._spec, plan, candidate)
        except Exception as error:
            self._tell("This layout cannot be deployed", error)
            return
        if await self.app.push_screen_wait(ConfirmScreen(confirm_deploy(spec, candidate))):
            self.add_class("-show-deployment")
            self.say(f"Ordering {spec.label} of {spec.model.name}.")
            order = self.view.session.deploy(spec)
            if not await self._finish(order, f"Ordered {spec.label} of {spec.model.name}."):
                self.remove_class("-show-deployment")

    def _spec(self, plan: Plan, candidate: Candidate) -> DeploymentSpec:
        folder = weights_folder(self.question.models[-1]) if len(self.question.models) == 1 else None
        snapshot = self.view.store.snapshot
        names = tuple(status.name for status in snapshot.deployments)
        return self.view.setup.make_spec(plan, candidate, OrderContext(folder, snapshot.simulated, names))

    @work(group="dialog", exclusive=True)
    async def action_stop(self) -> None:
        """Ask once, and stop the selected deployment."""
        deployment = self.deployment
        if deployment is None:
            return
        if await self.app.push_screen_wait(ConfirmScreen(confirm_stop(deployment))):
            self.say(f"Stopping {deployment.name}.")
            done = f"Stopped {deployment.name}; its GPUs are free."
            await self._finish(self.view.session.stop(deployment.name), done)

    def action_prompt(self) -> None:
        """Talk to the selected deployment."""
        deployment = self.deployment
        if deployment is not None:
            is_scaled = deployment.scale not in (None, FULL_SIZE)
            remark = f"SIMULATED, scaled model: {deployment.scale}. Expect noise." if is_scaled else ""
            self.app.push_screen(PromptScreen(self.view.session, deployment.name, self.view.store, remark))

    async def _finish(self, future: Future[None], done: str) -> bool:
        """Wait for an order without holding the screen, and say how it ended."""
        try:
            await asyncio.wrap_future(future)
        except Exception as error:
            self._tell("That did not work", error)
            return False
        self.say(done, "good")
        return True

    def _tell(self, title: str, error: Exception) -> None:
        """Say what went wrong and what to do; an error that nobody foresaw must not end the screen."""
        if isinstance(error, ClusterviewError):
            message, hint = error.message, error.hint
        else:
            message = f"{type(error).__name__}: {clean(str(error))}"
            hint = "This is a fault of clusterview; what was deployed before goes on."
        self.app.push_screen(NoticeScreen(title, message, hint))
        self.say(message, "bad")
