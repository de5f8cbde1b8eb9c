"""Keys of the main screen that move on the map and open what is there."""

from __future__ import annotations

from textual.screen import Screen

from cluster.inventory import Node
from tui.messages import PlaceChosen
from tui.orders import Orders
from tui.screens.main_dialogs import MainDialogs
from tui.screens.main_panels import MainPanels
from tui.widgets.map_grid import Step

_ON_MAP = frozenset({"open_place", "leave_map"})
"""These are keys only while the cursor is on the map."""
_OFF_MAP = frozenset({"move", "details", "enter_map"})
"""These are keys only while it is not."""
_ENTERS = ("left", "right")
"""Steps that also put the cursor on the map; up and down are the list's until then."""


class MapKeys(Screen[None]):
    """The actions of those keys."""

    panels: MainPanels
    orders: Orders

    @property
    def dialogs(self) -> MainDialogs:
        """What opens dialogs over this screen."""
        raise NotImplementedError

    def is_elsewhere(self, action: str, parameters: tuple[object, ...]) -> bool:
        """Return whether a key belongs to the other of the map and the list of layouts now."""
        if self.panels.map.cursor is not None:
            return action in _OFF_MAP
        return action in _ON_MAP or (action == "move_on_map" and not set(parameters) & set(_ENTERS))

    def action_enter_map(self) -> None:
        """Put the cursor on the map, where it was last."""
        self.panels.map.enter()
        self.refresh_bindings()

    def action_leave_map(self) -> None:
        """Give the arrows back to the list of layouts."""
        self.panels.map.leave()
        self.refresh_bindings()

    def action_move_on_map(self, step: Step) -> None:
        """Move the cursor on the map; the first key only puts it there."""
        if self.panels.map.cursor is None:
            self.action_enter_map()
        else:
            self.panels.map.move(step)

    def action_open_place(self) -> None:
        """Open the page of the GPU or the node under the cursor."""
        self.dialogs.open_place()

    def on_place_chosen(self, message: PlaceChosen) -> None:
        """A click has moved the map's cursor; one on the place that had it opens its page."""
        self.refresh_bindings()
        if message.again:
            self.action_open_place()

    def action_dismiss_node(self) -> None:
        """Take the dead node under the cursor off the map."""
        node = self.panels.map.node_at_cursor
        if node is not None and node.left is not None:
            self.run_worker(self._dismiss(node), group="order")

    async def _dismiss(self, node: Node) -> None:
        await self.orders.dismiss(node.node_id, node.name)

    def action_scroll_map(self, pages: int) -> None:
        """Scroll the deployments where they are in front and do not fit, else the map."""
        panel = self.panels.deployments
        in_front = (
            self.has_class("-show-deployment") and panel.num_lines(panel.size.width) > panel.size.height
        )
        view = panel if in_front else self.panels.map
        view.scroll_lines(pages * max(1, view.size.height - 2))

    def action_next_density(self) -> None:
        """Show the map in its next form, from tiles to one sign per GPU."""
        self.panels.map.next_density()
