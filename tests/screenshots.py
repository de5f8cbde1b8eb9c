"""Draws the pictures in assets/ from a recorded session: python -m tests.screenshots [FOLDER].

The plans in them are made by the planner of this moment. PNG files need rsvg-convert; without it only the SVG
files are written.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from cluster.bridge.events import Event
from cluster.cli.defaults import read_defaults
from tests.tui import recording
from tests.tui.conftest import settle
from tests.tui.fake_session import FakeSession
from tests.tui.svg import readable, with_common_font
from tui.app import ClusterviewApp
from tui.setup import Example, Setup
from tui.themes import DARK, LIGHT

_PIXELS_A_CELL = 8


@dataclass(frozen=True, slots=True)
class Picture:
    """One file: what was said, how large the terminal is, which keys are pressed."""

    name: str
    events: tuple[Event, ...]
    size: tuple[int, int]
    keys: tuple[str, ...] = ()
    theme: str = DARK.name


def pictures() -> tuple[Picture, ...]:
    """List the pictures."""
    joined, starting, serving = recording.joined(), recording.starting(), recording.serving()
    return (
        Picture("plan", joined, (120, 40)),
        Picture("plan-small", joined, (80, 24)),
        Picture("plan-light", joined, (120, 40), theme=LIGHT.name),
        Picture("refused", joined, (80, 24), ("down",) * 9),
        Picture("starting", starting, (120, 40), ("tab",)),
        Picture("serving", serving, (240, 70)),
        Picture("why", joined, (120, 70), ("c",)),
    )


async def draw(picture: Picture) -> str:
    """Return a picture as SVG."""
    defaults = read_defaults()
    setup = Setup(
        models=defaults.models,
        clock=lambda: recording.time_of(picture.events),
        theme=picture.theme,
        examples=tuple(Example(model, cluster) for model, cluster in defaults.examples),
    )
    title = f"simulated {defaults.simulated_cluster}"
    app = ClusterviewApp(FakeSession(picture.events, title), setup)
    async with app.run_test(size=picture.size) as pilot:
        await settle(pilot)
        for key in picture.keys:
            await pilot.press(key)
            await pilot.pause()
        planning = [item for item in app.workers if item.group == "examples"]
        if planning:
            await app.workers.wait_for_complete(planning)
        await pilot.pause(0.3)
        return readable(app.export_screenshot())


def main() -> int:
    """Write all pictures."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("assets")
    folder.mkdir(parents=True, exist_ok=True)
    converter = shutil.which("rsvg-convert")
    for picture in pictures():
        path, svg = folder / f"{picture.name}.svg", asyncio.run(draw(picture))
        path.write_text(svg, "utf-8")
        if converter is not None:
            command = [converter, "-w", str(picture.size[0] * _PIXELS_A_CELL), "-o", path.with_suffix(".png")]
            subprocess.run(command, input=with_common_font(svg).encode(), check=True)
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
