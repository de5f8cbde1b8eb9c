"""One embedded cluster per test module that asks for one, with its own state folder."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.bridge.open_session import open_session
from cluster.bridge.state.records import ClusterRecord, read_record, read_records
from cluster.cli.session_view import SessionView
from cluster.process_table import processes_with
from tests.cluster.probe.fake_library import build_fake_nvml
from tests.ray.support import SPEC, START_S, processes_of, wait_until


@pytest.fixture(scope="module", autouse=True)
def state_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep the records of this module's clusters away from the user's own."""
    folder = tmp_path_factory.mktemp("state")
    before = {name: os.environ.get(name) for name in ("CLUSTERVIEW_STATE_DIR", "RAY_ADDRESS")}
    os.environ["CLUSTERVIEW_STATE_DIR"] = str(folder)
    os.environ.pop("RAY_ADDRESS", None)
    yield folder
    # A test that fails halfway must not leave a cluster running.
    for record in read_records():
        os.kill(record.pid, signal.SIGTERM)
    # The keeper ends last: it waits for everything it started.
    assert wait_until(lambda: not processes_with("CLUSTERVIEW_STATE_DIR", str(folder)), 60)
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@pytest.fixture(scope="session")
def fake_nvml_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a fake NVML, for RealRay."""
    return build_fake_nvml(tmp_path_factory.mktemp("nvml"))


@pytest.fixture(scope="module")
def view(state_dir: Path) -> Iterator[SessionView]:
    """A session on a simulated cluster of two nodes with four GPUs each; checked for leftovers at the end."""
    with SessionView(open_session(address=None, simulate=SPEC), shows_progress=False) as opened:
        opened.settled_cluster(START_S)
        temp_dir = str(Path(record_of(SPEC).socket_path).parent)
        yield opened
        for status in opened.deployments or ():
            opened.session.stop(status.name).result(START_S)
    assert wait_until(lambda: not processes_of(temp_dir), 20), processes_of(temp_dir)
    assert wait_until(lambda: not Path(temp_dir).exists(), 10)
    assert wait_until(lambda: not list(state_dir.iterdir()), 10), list(state_dir.iterdir())


def record_of(key: str) -> ClusterRecord:
    """Return the record of a running embedded cluster."""
    record = read_record(key)
    assert record is not None
    return record
