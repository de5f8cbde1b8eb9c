"""Where a token is looked for, and what is said of it: its place, never its value."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cluster.bridge.driver.ray_auth import look_for_token, refusal, use_token_if_found

SECRET = "s3cret"


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home without a token, and an environment that says nothing of one."""
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def put_token(folder: Path, text: str = SECRET) -> Path:
    file = folder / ".ray" / "auth_token"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return file


def mode_used(monkeypatch: pytest.MonkeyPatch) -> str | None:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    use_token_if_found()
    return os.environ.get("RAY_AUTH_MODE")


def test_no_token_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert mode_used(monkeypatch) is None
    assert refusal()[0] == (
        "no token: RAY_AUTH_TOKEN and RAY_AUTH_TOKEN_PATH are not set, and ~/.ray/auth_token does not exist"
    )


@pytest.mark.parametrize("place", ["RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "~/.ray/auth_token"])
def test_a_token_in_each_place_is_sent(place: str, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    if place == "RAY_AUTH_TOKEN":
        monkeypatch.setenv(place, SECRET)
    elif place == "RAY_AUTH_TOKEN_PATH":
        monkeypatch.setenv(place, str(put_token(home)))
    else:
        put_token(home)
    assert place in look_for_token().where
    assert mode_used(monkeypatch) == "token"
    reason, hint = refusal()
    assert place in reason
    assert SECRET not in reason + hint


@pytest.mark.parametrize("mode", ["disabled", "token"])
def test_a_mode_that_was_chosen_stays(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", mode)
    monkeypatch.setenv("RAY_AUTH_TOKEN", SECRET)
    assert mode_used(monkeypatch) == mode
    assert ("RAY_AUTH_MODE=disabled" in refusal()[0]) == (mode == "disabled")


@pytest.mark.parametrize("trouble", ["does not exist", "is empty", "is not a file"])
def test_a_file_that_holds_no_token_is_named(
    trouble: str, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    path = {"does not exist": home / "none", "is empty": put_token(home, " \n"), "is not a file": home}[
        trouble
    ]
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(path))
    assert mode_used(monkeypatch) is None
    assert refusal()[0] == f"no token: {path}, which RAY_AUTH_TOKEN_PATH names, {trouble}"
