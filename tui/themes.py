"""Four palettes. Every state also has a word or a symbol, so color is never the only cue."""

from __future__ import annotations

from dataclasses import dataclass

from textual.theme import Theme


@dataclass(frozen=True, slots=True)
class Palette:
    """The colors of one theme by what they mean."""

    name: str
    dark: bool
    background: str
    panel: str
    raised: str
    text: str
    muted: str
    faint: str
    accent: str
    used: str
    planned: str
    free: str
    good: str
    warning: str
    bad: str
    replicas: tuple[str, ...]


DARK = Palette(
    name="clusterview-dark",
    dark=True,
    background="#12151a",
    panel="#171b22",
    raised="#222934",
    text="#d5dae3",
    muted="#8a94a6",
    faint="#4b5466",
    accent="#82aaff",
    used="#9aa5b8",
    planned="#82aaff",
    free="#3a4250",
    good="#8fc98b",
    warning="#e5c07b",
    bad="#ef8a80",
    replicas=("#82aaff", "#e5b567", "#8fc98b", "#d7a3e8", "#6fc7c4", "#f0a08c", "#b7c26b", "#a8b4ff"),
)

LIGHT = Palette(
    name="clusterview-light",
    dark=False,
    background="#fbfbf9",
    panel="#f4f4f1",
    raised="#e4e8ee",
    text="#24292f",
    muted="#616a76",
    faint="#a3abb6",
    accent="#2456c7",
    used="#5f6b7a",
    planned="#3f74e0",
    free="#c9ced6",
    good="#2c7a37",
    warning="#8f6200",
    bad="#b83227",
    replicas=("#2456c7", "#9a5b00", "#2c7a37", "#8338a8", "#0b7478", "#b23c22", "#5f6f00", "#4b4fd0"),
)

# Okabe and Ito's eight colors, which hold for the common forms of color blindness.
COLOR_BLIND = Palette(
    name="clusterview-color-blind",
    dark=True,
    background="#101214",
    panel="#16191c",
    raised="#262b30",
    text="#e6e6e6",
    muted="#9a9fa6",
    faint="#565c64",
    accent="#56b4e9",
    used="#b8bcc2",
    planned="#56b4e9",
    free="#3c4248",
    good="#009e73",
    warning="#f0e442",
    bad="#d55e00",
    replicas=("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#3d8fd1", "#d55e00", "#dddddd"),
)

HIGH_CONTRAST = Palette(
    name="clusterview-high-contrast",
    dark=True,
    background="#000000",
    panel="#000000",
    raised="#303030",
    text="#ffffff",
    muted="#d0d0d0",
    faint="#9a9a9a",
    accent="#5fd7ff",
    used="#ffffff",
    planned="#5fd7ff",
    free="#808080",
    good="#5fff5f",
    warning="#ffff5f",
    bad="#ff8787",
    replicas=("#5fd7ff", "#ffd75f", "#5fff5f", "#ff87ff", "#87ffff", "#ffaf87", "#d7ff5f", "#ffffff"),
)

PALETTES = (DARK, LIGHT, COLOR_BLIND, HIGH_CONTRAST)
BY_NAME = {palette.name: palette for palette in PALETTES}


def textual_theme(palette: Palette) -> Theme:
    """Build Textual's theme from a palette."""
    return Theme(
        name=palette.name,
        dark=palette.dark,
        primary=palette.accent,
        secondary=palette.muted,
        accent=palette.accent,
        foreground=palette.text,
        background=palette.background,
        surface=palette.background,
        panel=palette.panel,
        success=palette.good,
        warning=palette.warning,
        error=palette.bad,
        variables={
            "cv-muted": palette.muted,
            "cv-faint": palette.faint,
            "cv-raised": palette.raised,
            "block-cursor-background": palette.raised,
            "block-cursor-foreground": palette.text,
            "block-cursor-text-style": "bold",
            "input-cursor-background": palette.text,
            "input-selection-background": f"{palette.accent} 30%",
            "scrollbar": palette.faint,
            "scrollbar-background": palette.background,
        },
    )
