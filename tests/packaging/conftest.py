"""One installation for all tests here: making it takes seconds."""

from __future__ import annotations

import pytest

from tests.packaging.installed import Installed, build_wheel, install


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """clusterview, in an environment with pydantic alone."""
    folder = tmp_path_factory.mktemp("installed")
    return install(build_wheel(folder), folder / "env")
