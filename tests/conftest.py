"""Settings for all tests, and which of them `--fast` (make test-fast) leaves out."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

HERE = Path(__file__).parent

# Folders and files that start Ray, or took 2 s or more (of CPU time or of waiting) when they were measured.
# With --fast they are not even imported: importing torch and transformers takes seconds by itself.
SLOW = frozenset(
    {
        "benchmarks",
        "cluster/bridge/keeper/test_guard.py",
        "cluster/bridge/state/test_losses.py",
        "cluster/bridge/test_limits.py",
        "cluster/bridge/test_local_ray.py",
        "cluster/bridge/test_local_session.py",
        "cluster/calibration/test_local.py",
        "cluster/catalog/test_against_transformers.py",
        "cluster/catalog/test_reference_checkpoints.py",
        "cluster/cli/test_deploy_dry_run.py",
        "cluster/cli/test_exit_statuses.py",
        "cluster/cli/test_load.py",
        "cluster/cli/test_metrics.py",
        "cluster/cli/test_record.py",
        "cluster/cli/test_snapshot_and_doctor.py",
        "cluster/deploy/router",
        "cluster/deploy/test_api_keys.py",
        "cluster/planner/fixes",
        "cluster/planner/reasons/test_words.py",
        "cluster/planner/search/test_oversized.py",
        "cluster/planner/search/test_properties.py",
        "cluster/probe/test_inventory.py",
        "cluster/probe/test_watch.py",
        "cluster/runtime",
        "corpus",
        "e2e",
        "evidence",
        "fake_engine",
        "fuzz",
        "gpu",
        "packaging",
        "ray",
        "tui/test_early_keys.py",
        "tui/test_engine_and_weights.py",
        "tui/test_fixes.py",
        "tui/test_hostile_input.py",
        "tui/test_key_availability.py",
        "tui/test_main_screen.py",
        "tui/test_pages.py",
        "tui/test_planner_process.py",
        "tui/test_real_terminal.py",
        "tui/test_snapshots.py",
        "tui/test_terminals.py",
        "vllm",
    }
)

# A busy machine does not make a test fail: no example has a deadline.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("default")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--fast", action="store_true", help="leave out slow tests (the list is in tests/conftest.py)"
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    if not config.getoption("--fast") or not collection_path.is_relative_to(HERE):
        return None
    return True if collection_path.relative_to(HERE).as_posix() in SLOW else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--fast"):
        slow = [item for item in items if item.get_closest_marker("slow") is not None]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]
