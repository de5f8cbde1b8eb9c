"""An engine is one file: whoever adds it edits nothing else, and can plan for it at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shutil import copytree

import pytest

from cluster.catalog import engine_catalog, engine_names
from cluster.catalog.typed_table import TableError
from tui.__main__ import main

CATALOG = Path(engine_catalog.__file__).parent


def clear_caches() -> None:
    for cached in (engine_catalog.load_engine, engine_catalog._engine_file, engine_catalog._timings):
        cached.cache_clear()
    engine_catalog._toml.cache_clear()


@pytest.fixture
def new_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of an engine that is new to the catalog."""
    copytree(CATALOG / "engines", tmp_path / "engines")
    file = tmp_path / "engines" / "newcomer.toml"
    text = (CATALOG / "engines" / "sglang.toml").read_text(encoding="utf-8")
    file.write_text(text.replace('name = "sglang"', 'name = "newcomer"'), encoding="utf-8")
    for module in (engine_names, engine_catalog):
        monkeypatch.setattr(module, "catalog_folder", lambda: tmp_path)
    clear_caches()
    yield file
    clear_caches()


def test_an_engine_is_planned_for_once_its_file_is_there(
    new_engine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--dry-run", "--model", "llama-3.1-8b", "--cluster", "1x4xL4", "--engine"]
    status = main([*options, "newcomer"])
    assert status == 0, capsys.readouterr().err
    planned = capsys.readouterr().out
    assert main([*options, "sglang"]) == 0
    assert planned.replace("newcomer", "sglang") == capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[timing]", "[clock]", "clock: unknown key"),
        ("host_step_s", "host_steps", r"engines/newcomer.toml, timing: host_steps: unknown key"),
        ("host_step_s = 400e-6", "host_step_s = true", "timing: host_step_s: expected"),
    ],
)
def test_a_mistake_in_its_timing_fails_when_it_is_loaded(
    new_engine: Path, old: str, new: str, message: str
) -> None:
    new_engine.write_text(new_engine.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(TableError, match=message):
        engine_catalog.load_engine("newcomer")
