"""What deploys and stops from the main screen: asked once, sent once, and followed until it shows."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future

from textual import work

from cluster.deploy.spec import DeploymentSpec
from cluster.errors import ClusterviewError
from cluster.planner.result import Candidate, Plan
from cluster.text import clean
from tui.background import in_background
from tui.confirmations import confirm_deploy, confirm_stop, no_longer_fits
from tui.key_availability import INTERRUPTED
from tui.open_orders import OpenOrders
from tui.planning import Question
from tui.scene import used_by_deployments
from tui.screens.confirm import ConfirmScreen
from tui.screens.main_planning import MainPlanning
from tui.screens.notice import NoticeScreen
from tui.widgets.deployment_panel import DeploymentPanel

_SHOWS_UP_S = 10.0
"""After an accepted order: long enough for any deployment to show, should its first status be missed."""


class MainOrders(MainPlanning):
    """Changes what runs on the cluster."""

    def __init__(self, question: Question) -> None:
        super().__init__(question)
        self.orders = OpenOrders()

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
            spec = await in_background(self._spec, plan, candidate)
        except Exception as error:
            self._tell("This layout cannot be deployed", error)
            return
        if await self.app.push_screen_wait(ConfirmScreen(confirm_deploy(spec, candidate))):
            self._order(spec)

    @work(group="order")
    async def _order(self, spec: DeploymentSpec) -> None:
        """Send an order; until it shows, the key that sent it is dimmed."""
        if self._broken():
            return
        self.orders.deploy(spec.name)
        self.add_class("-show-deployment")
        self.on_orders_changed()
        self.say(f"Ordering {spec.label} of {spec.model.name}.")
        if await self._finish(self.view.session.deploy(spec), f"Ordered {spec.label} of {spec.model.name}."):
            self.set_timer(_SHOWS_UP_S, lambda: self._close_order(spec.name))
            return
        self._close_order(spec.name)
        if not self.view.store.snapshot.deployments:
            self.remove_class("-show-deployment")

    def _close_order(self, name: str) -> None:
        self.orders.close(name)
        self.on_orders_changed()

    def _spec(self, plan: Plan, candidate: Candidate) -> DeploymentSpec:
        names = tuple(status.name for status in self.view.store.snapshot.deployments)
        return self.view.setup.make_spec(plan, candidate, names)

    @work(group="dialog", exclusive=True)
    async def action_stop(self) -> None:
        """Ask once, and stop the selected deployment."""
        deployment = self.deployment
        if deployment is None:
            return
        if await self.app.push_screen_wait(ConfirmScreen(confirm_stop(deployment))):
            self._end(deployment.name)

    @work(group="order")
    async def _end(self, name: str) -> None:
        """Order the end of a deployment; until it came, the key that ordered it is dimmed."""
        if self._broken():
            return
        self.orders.stop(name)
        self.on_orders_changed()
        self.say(f"Stopping {name}.")
        await self._finish(self.view.session.stop(name), f"Stopped {name}; its GPUs are free.")
        self._close_order(name)

    def _broken(self) -> bool:
        """Refuse an order that was confirmed while the connection broke: it must not be sent by surprise."""
        snapshot = self.view.store.snapshot
        if snapshot.out_of_touch:
            self.say(snapshot.lost.reason if snapshot.lost is not None else INTERRUPTED, "bad")
        return snapshot.out_of_touch

    def on_orders_changed(self) -> None:
        """Show what is on its way, and which keys wait for it."""
        snapshot = self.view.store.snapshot
        used = used_by_deployments(snapshot)
        self.query_one(DeploymentPanel).show(snapshot.deployments, used, self.orders.ordered)
        self.refresh_bindings()

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
