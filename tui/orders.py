"""Deploy, scale and stop orders: confirmed once, sent once, and tracked until their effect is visible."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from concurrent.futures import Future
from typing import Protocol

from cluster.deploy.order.scale import first_to_end, grown
from cluster.deploy.resized import replicas_of, without_replicas
from cluster.deploy.spec import DeploymentSpec
from cluster.deploy.status import DeploymentStatus
from cluster.errors import ClusterviewError, Unreachable
from cluster.planner.result import Candidate, Plan
from cluster.text import clean
from cluster.units import count_of
from tui.background import in_background
from tui.cluster_now import current_cluster
from tui.confirmations import Confirmation, confirm_deploy, confirm_scale, confirm_stop, no_longer_fits
from tui.context import AppContext
from tui.key_availability import INTERRUPTED
from tui.open_orders import OpenOrders
from tui.planning import Planning
from tui.widgets.status_line import Kind

_ANSWER_S = 15.0
_SHOWS_UP_S = 10.0
"""After an accepted order: long enough for any deployment to become visible."""


class OrdersView(Protocol):
    """What orders need from the screen."""

    def say(self, message: str, kind: Kind = "info") -> None:
        """Put a message on the status line."""

    def show_notice(self, title: str, message: str, hint: str = "") -> None:
        """Show a dialog with a message."""

    def confirm(self, confirmation: Confirmation) -> Awaitable[bool]:
        """Ask the user; False unless they agree."""

    def show_plan(self) -> None:
        """Show the plan that has just been made."""

    def show_orders(self) -> None:
        """Show the open orders, and dim the keys that wait for them."""

    def show_deployments(self, shown: bool) -> None:
        """Bring the deployments to the front, or the plan."""


class Orders:
    """Changes what runs on the cluster."""

    def __init__(self, context: AppContext, planning: Planning, view: OrdersView) -> None:
        self._context, self._planning, self._view = context, planning, view
        self.open = OpenOrders()

    async def prepare(self, wanted: Candidate) -> DeploymentSpec | None:
        """Plan on the latest readings and ask the user; None when there is nothing to deploy."""
        try:
            plan, candidate = await self._planning.plan_on_latest(wanted)
            self._view.show_plan()
            if candidate is None or not candidate.feasible:
                self._view.show_notice(*no_longer_fits(wanted, candidate, plan))
                return None
            spec = await in_background(self._make_spec, plan, candidate)
        except Exception as error:
            self._report("This layout cannot be deployed", error)
            return None
        return spec if await self._view.confirm(confirm_deploy(spec, candidate)) else None

    def _make_spec(self, plan: Plan, candidate: Candidate) -> DeploymentSpec:
        names = tuple(status.name for status in self._context.store.snapshot.deployments)
        return self._context.setup.make_spec(plan, candidate, names)

    async def deploy(self, spec: DeploymentSpec) -> None:
        """Submit a deployment. The key that sent it is dimmed until the deployment is visible."""
        if self._refuse_if_disconnected():
            return
        self.open.deploy(spec.name)
        self._view.show_deployments(True)
        self._view.show_orders()
        what = f"{spec.label} of {spec.model.name}"
        self._view.say(f"Submitting {what}.")
        if await self._finish(self._context.session.deploy(spec), f"Submitted {what}."):
            await asyncio.sleep(_SHOWS_UP_S)
            self._close(spec.name)
            return
        self._close(spec.name)
        if not self._context.store.snapshot.deployments:
            self._view.show_deployments(False)

    async def confirm_stop(self, deployment: DeploymentStatus) -> bool:
        """Ask whether to stop a deployment."""
        return await self._view.confirm(confirm_stop(deployment))

    async def stop(self, name: str) -> None:
        """Stop a deployment. The key that sent the order is dimmed until it has stopped."""
        if self._refuse_if_disconnected():
            return
        self.open.stop(name)
        self._view.show_orders()
        self._view.say(f"Stopping {name}.")
        await self._finish(self._context.session.stop(name), f"Stopped {name}; its GPUs are free.")
        self._close(name)

    async def prepare_scale(self, status: DeploymentStatus, by: int) -> DeploymentSpec | None:
        """Choose the GPUs of one more replica, or the one that ends, and ask; None for no change."""
        try:
            asked = asyncio.wrap_future(self._context.session.describe(status.name))
            spec = await asyncio.wait_for(asked, _ANSWER_S)
            wanted = await in_background(self._resized, spec, status, by)
        except Exception as error:
            late = Unreachable(f"its controller has not answered for {_ANSWER_S:.0f} s")
            self._report(
                f"{status.name} cannot be scaled", late if isinstance(error, TimeoutError) else error
            )
            return None
        return wanted if await self._view.confirm(confirm_scale(spec, wanted, status)) else None

    def _resized(self, spec: DeploymentSpec, status: DeploymentStatus, by: int) -> DeploymentSpec:
        if by < 0:
            return without_replicas(spec, first_to_end(status.replicas, -by))
        cluster = current_cluster(self._context.store.snapshot)
        if cluster is None:
            raise Unreachable("the cluster is not known yet", "Try again in a moment")
        return grown(spec, len(replicas_of(spec)) + by, cluster)

    async def scale(self, wanted: DeploymentSpec) -> None:
        """Change the number of replicas. The keys for it are dimmed until that is done."""
        if self._refuse_if_disconnected():
            return
        name, size = wanted.name, count_of(wanted.layout.num_replicas, "replica")
        self.open.scale(name)
        self._view.show_orders()
        self._view.say(f"Scaling {name} to {size}.")
        await self._finish(self._context.session.scale(wanted), f"{name} runs {size}.")
        self._close(name)

    async def dismiss(self, node_id: str, name: str) -> None:
        """Take a dead node off the map. Nothing runs there, so it is not asked about."""
        if not self._refuse_if_disconnected():
            await self._finish(self._context.session.dismiss(node_id), f"Took {name} off the map.")

    def _close(self, name: str) -> None:
        self.open.close(name)
        self._view.show_orders()

    def _refuse_if_disconnected(self) -> bool:
        """Drop an order that was confirmed while the connection broke: sent later, it would surprise."""
        snapshot = self._context.store.snapshot
        if snapshot.disconnected:
            self._view.say(snapshot.lost.reason if snapshot.lost is not None else INTERRUPTED, "bad")
        return snapshot.disconnected

    async def _finish(self, future: Future[None], done: str) -> bool:
        """Wait for an order without blocking the screen, and show how it ended."""
        try:
            await asyncio.wrap_future(future)
        except Exception as error:
            self._report("The order failed", error)
            return False
        self._view.say(done, "good")
        return True

    def _report(self, title: str, error: Exception) -> None:
        """Show what went wrong and what to do; an unforeseen error must not take the screen down."""
        if isinstance(error, ClusterviewError):
            message, hint = error.message, error.hint
        else:
            message = f"{type(error).__name__}: {clean(str(error))}"
            hint = "This is a bug in clusterview. Running deployments are not affected."
        self._view.show_notice(title, message, hint)
        self._view.say(message, "bad")
