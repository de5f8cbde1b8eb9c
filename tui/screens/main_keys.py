"""The keys of the main screen."""

from __future__ import annotations

from textual.binding import Binding, BindingType

from tui.screens.views import VIEWS
from tui.views import View


def _view_key(view: View) -> Binding:
    return Binding(view.key, f"open_view({view.name!r})", view.label, show=view.show)


MAIN_KEYS: list[BindingType] = [
    # While the cursor is on the map, these keys are the map's.
    Binding("up", "move_on_map('up')", "GPU", key_display="↑↓←→"),
    Binding("k", "move_on_map('up')", show=False),
    Binding("down,j", "move_on_map('down')", show=False),
    Binding("home", "move_on_map('first')", show=False),
    Binding("end", "move_on_map('last')", show=False),
    Binding("enter", "open_place", "Open", key_display="⏎"),
    Binding("escape", "leave_map", "Layouts", key_display="esc"),
    Binding("X,delete", "dismiss_node", show=False),
    Binding("R", "reconnect", "Reconnect", key_display="R"),
    Binding("m", "pick_model", "Model"),
    Binding("d", "deploy", "Deploy"),
    Binding("f", "apply_fix", "Fix"),
    Binding("x", "stop", "Stop"),
    Binding("p", "prompt", "Prompt"),
    Binding("tab", "toggle_panel", "Runs"),
    Binding("c", "explain", "Why"),
    Binding("question_mark", "help", "Help", key_display="?"),
    Binding("q", "app.quit", "Quit"),
    Binding("up", "move(-1)", "Layout", key_display="↑↓"),
    Binding("k", "move(-1)", show=False),
    Binding("down,j", "move(1)", show=False),
    Binding("enter", "details", "Details", key_display="⏎"),
    Binding("g", "enter_map", "GPUs"),
    Binding("left", "move_on_map('left')", show=False),
    Binding("right", "move_on_map('right')", show=False),
    *map(_view_key, VIEWS),
    Binding("w", "workload", "Workload"),
    Binding("e", "export", "Export"),
    Binding("l", "logs", "Logs"),
    Binding("plus", "scale_up", "Scale", key_display="+-"),
    Binding("minus", "scale_down", show=False),
    Binding("r", "replan", "Replan"),
    Binding("t", "app.next_theme", "Theme"),
    Binding("v", "next_density", "View"),
    Binding("slash", "find_node", "Find", key_display="/"),
    Binding("s", "simulate", "Simulate"),
    Binding("n", "next_deployment", show=False),
    Binding("pagedown,space", "scroll_map(1)", show=False),
    Binding("pageup", "scroll_map(-1)", show=False),
]
"""In the order of the key bar, most used first."""
