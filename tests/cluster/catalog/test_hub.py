"""Hub ids that are not in the catalog: fetched through huggingface_hub, or refused in one clear line."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest

from cluster.catalog.models import hub, load_model
from cluster.errors import UnknownName
from tests.cluster.catalog.configs import sized


def test_an_offline_hub_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UnknownName, match="HF_HUB_OFFLINE is set"):
        load_model("nobody/nothing-at-all")


def test_an_unreachable_hub_is_reported_without_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "https://hub.invalid")
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UnknownName, match=r"hub\.invalid is not reachable"):
        load_model("nobody/nothing-at-all")


def test_without_the_extra_the_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UnknownName) as caught:
        load_model("nobody/nothing-at-all")
    assert re.search("To look up other hub ids: .*huggingface-hub", caught.value.one_line())


def test_a_config_in_the_hubs_cache_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("huggingface_hub")
    snapshot = tmp_path / "models--someone--small" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (tmp_path / "models--someone--small" / "refs").mkdir()
    (tmp_path / "models--someone--small" / "refs" / "main").write_text("abc")
    (snapshot / "config.json").write_text(json.dumps(sized("llama")))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.file_download.constants.HF_HUB_CACHE", str(tmp_path))
    model = load_model("someone/small")
    assert model.name == "someone/small"
    assert model.parameters > 0


@pytest.mark.parametrize("name", ["one", "a/b/c", "../x", "a b/c", "", "-a/b", "a/\x1b[31m"])
def test_only_organization_and_model_is_asked_for(name: str) -> None:
    assert not hub.is_hub_id(name)
