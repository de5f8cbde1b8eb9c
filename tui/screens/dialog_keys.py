"""Keys of the main screen that only open a dialog."""

from __future__ import annotations

from textual import work
from textual.screen import Screen

from tui.screens.main_dialogs import MainDialogs


class DialogKeys(Screen[None]):
    """The actions of those keys."""

    @property
    def dialogs(self) -> MainDialogs:
        """What opens dialogs over this screen."""
        raise NotImplementedError

    @work(group="dialog", exclusive=True)
    async def action_find_node(self) -> None:
        await self.dialogs.find_node()
        # The cursor may be on the map now.
        self.refresh_bindings()

    @work(group="dialog", exclusive=True)
    async def action_export(self) -> None:
        await self.dialogs.export()

    def action_help(self) -> None:
        self.dialogs.help()

    def action_explain(self) -> None:
        self.dialogs.explain()

    def action_details(self) -> None:
        self.dialogs.details()

    def action_logs(self) -> None:
        self.dialogs.logs()

    def action_prompt(self) -> None:
        self.dialogs.prompt()

    def action_open_view(self, name: str) -> None:
        self.dialogs.open_view(name)
