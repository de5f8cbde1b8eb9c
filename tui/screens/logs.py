"""The live log of a deployment's servers."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from cluster.deploy.server_names import ServerName, servers_of
from cluster.deploy.status import DeploymentStatus
from tui.context import AppContext
from tui.log_feed import LogFeed
from tui.screens.dialog import Dialog
from tui.screens.find import FindScreen
from tui.styles import Styles
from tui.widgets.log_view import LogView
from tui.widgets.text_panel import TextPanel

_LOOK_S = 1.0
_KEYS = "↑↓ scroll   f follow   / find   n N match   tab next server   esc close"
_KEYS_OF_ONE = "↑↓ scroll   f follow   / find   n N match   esc close"


class LogHeading(TextPanel):
    """Which log this is, whether it follows, and what keeps lines from coming."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self._parts: tuple[str, str, str] = ("", "", "")

    def show(self, title: str, place: str, remark: str) -> None:
        """Show the server and a remark on it."""
        if (title, place, remark) != self._parts:
            self._parts = (title, place, remark)
            self.changed()

    def draw(self, styles: Styles) -> Text:
        title, place, remark = self._parts
        line = Text().append(title, styles.title).append(f"  {place}", styles.strong)
        return line.append(f"  {remark}", styles.muted)


class LogsScreen(Dialog[None]):
    """Shows one server at a time. Questions are asked in a worker, so a hung cluster never stops the keys."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,l", "leave", show=False),
        Binding("down,j", "scroll(1)", show=False),
        Binding("up,k", "scroll(-1)", show=False),
        Binding("pagedown,space", "page(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("home,g", "scroll(-1000000)", show=False),
        Binding("f,end,G", "follow", show=False),
        Binding("slash", "find", show=False),
        Binding("n", "match(1)", show=False),
        Binding("N", "match(-1)", show=False),
        Binding("tab", "next_server(1)", show=False),
        Binding("shift+tab", "next_server(-1)", show=False),
    ]

    def __init__(self, context: AppContext, deployment: DeploymentStatus) -> None:
        super().__init__()
        self._shared, self._deployment = context, deployment.name
        self._servers = servers_of(deployment)
        self._number = _first_trouble(deployment, self._servers)
        self._feed: LogFeed | None = None
        self._found = ""
        self._reading: LogFeed | None = None
        """Whose answer is awaited."""

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog page logs"):
            yield LogHeading(id="log-heading")
            yield LogView(id="log")
            yield Static(Content(_KEYS if len(self._servers) > 1 else _KEYS_OF_ONE), classes="dialog-keys")

    def on_mount(self) -> None:
        self._open()
        self.set_interval(_LOOK_S, self._look)

    def _open(self) -> None:
        """Begin with the log of the chosen server."""
        self._feed = LogFeed(self._deployment, self._servers[self._number]) if self._servers else None
        for view in self.query(LogView):
            view.forget()
        self._read()

    def _look(self) -> None:
        """Ask for more, unless an answer is still awaited."""
        if self._reading is not self._feed or self._feed is None:
            self._read()

    @work(group="log", exclusive=True, exit_on_error=False)
    async def _read(self) -> None:
        feed = self._feed
        if feed is not None and self._is_known():
            self._reading = feed
            await self._read_news(feed)
            self._reading = None if self._reading is feed else self._reading
        self._show_heading()

    async def _read_news(self, feed: LogFeed) -> None:
        async for lines in feed.news(self._shared.session):
            if feed is not self._feed:
                return
            for view in self.query(LogView):
                view.add(lines)

    def _is_known(self) -> bool:
        return any(status.name == self._deployment for status in self._shared.store.snapshot.deployments)

    def _show_heading(self) -> None:
        place = ""
        if self._servers:
            count = f" ({self._number + 1} of {len(self._servers)})" if len(self._servers) > 1 else ""
            place = f"{self._servers[self._number].text}{count}"
        for heading in self.query(LogHeading):
            heading.show(f"Log of {self._deployment}", place, self._remark())

    def _remark(self) -> str:
        if not self._is_known():
            return "the deployment has ended"
        if self._feed is None:
            return "its controller has not answered yet"
        if self._feed.trouble:
            return self._feed.trouble
        following = any(view.following for view in self.query(LogView))
        return self._found or ("following" if following else "scrolled back; f follows")

    def action_scroll(self, lines: int) -> None:
        """Scroll the log."""
        for view in self.query(LogView):
            view.scroll_lines(lines)
        self._show_heading()

    def action_page(self, pages: int) -> None:
        """Scroll by what is visible."""
        for view in self.query(LogView):
            view.scroll_lines(pages * max(1, view.size.height - 1))
        self._show_heading()

    def action_follow(self) -> None:
        """Go to the end and stay there."""
        self._found = ""
        for view in self.query(LogView):
            view.follow()
        self._show_heading()

    def action_next_server(self, step: int) -> None:
        """Show the log of another server."""
        if len(self._servers) > 1:
            self._number, self._found = (self._number + step) % len(self._servers), ""
            self._open()
            self._show_heading()

    @work(group="find", exclusive=True)
    async def action_find(self) -> None:
        """Ask for a text and go to its last match."""
        typed = await self.app.push_screen_wait(FindScreen("Find in the log", "text, in any case"))
        if typed:
            for view in self.query(LogView):
                self._say_match(*view.seek(typed))

    def action_match(self, step: int) -> None:
        """Go to the next match of the text, or the one before."""
        for view in self.query(LogView):
            self._say_match(*view.go_to_match(step))

    def _say_match(self, number: int, count: int) -> None:
        self._found = f"match {number} of {count:,}" if count else "no line has it"
        self._show_heading()


def _first_trouble(deployment: DeploymentStatus, servers: tuple[ServerName, ...]) -> int:
    """Return the first server of a replica that is not ready: its log is the one to read; 0 if all are."""
    waiting = {replica.replica for replica in deployment.replicas if not replica.ready}
    return next((number for number, server in enumerate(servers) if server.replica in waiting), 0)
