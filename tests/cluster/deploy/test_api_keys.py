"""Keys come from options, a file or the environment; only digests of them go anywhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cluster.bridge.client import child_environment
from cluster.deploy.api_keys import API_KEY_VARIABLE, hash_key, hashed_keys
from cluster.deploy.spec import DeploymentSpec, ModelSource
from cluster.errors import BadInput
from cluster.planner.layout import Layout
from tests.cluster.cli.run_clusterview import one_line_error, run_clusterview
from tests.ray.support import ENGINE

KEY = "sk-0123456789abcdef"


def test_options_and_file_are_joined_and_go_before_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"  second \n\n{KEY}\n")
    environment = {API_KEY_VARIABLE: "third"}
    assert hashed_keys([KEY], str(file), environment) == (hash_key(KEY), hash_key("second"))
    assert hashed_keys([], None, environment) == (hash_key("third"),)
    assert hashed_keys([], None, {}) == ()


@pytest.mark.parametrize("key", ["", " ", "two words", "tab\t", "é", "x" * 1025, "line\n"])
def test_what_cannot_be_sent_as_a_key_is_refused_without_showing_it(key: str) -> None:
    for keys, environment in (([key], {}), ([], {API_KEY_VARIABLE: key})):
        with pytest.raises(BadInput) as caught:
            hashed_keys(keys, None, environment)
        assert not key.strip() or key not in caught.value.one_line()


@pytest.mark.parametrize("content", [None, b"", b"\n \n", b"two words", b"\xff\xfe", b"x" * 70_000])
def test_a_file_without_usable_keys_is_refused(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "keys"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BadInput, match="--api-key-file"):
        hashed_keys([], str(file), {})


def test_a_folder_or_a_device_is_no_key_file(tmp_path: Path) -> None:
    for path in (str(tmp_path), "/dev/zero"):
        with pytest.raises(BadInput, match="is not a file"):
            hashed_keys([], path, {})


def test_an_order_carries_digests_only() -> None:
    spec = DeploymentSpec(
        name="a",
        model=ModelSource(name="m", config={}),
        layout=Layout(),
        engine=ENGINE,
        ranks=(),
        api_key_sha256=hashed_keys([KEY], None, {}),
    )
    assert KEY not in spec.model_dump_json()
    assert hash_key(KEY) not in repr(spec)
    assert DeploymentSpec.model_validate(json.loads(spec.model_dump_json())) == spec


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--api-key", ""], "is empty"),
        (["--api-key-file", "/nowhere/keys"], "is not a file"),
        (["--allowed-host", "http://x"], "is not a host name"),
        (["--allowed-host", "x:80"], "is not a host name"),
    ],
)
def test_a_wrong_option_is_one_line_before_anything_starts(options: list[str], problem: str) -> None:
    done = run_clusterview("deploy", "--simulate", "1x1xL4", "--model", "llama-3.1-8b", *options)
    assert problem in one_line_error(done)


def test_an_empty_key_in_the_environment_is_refused() -> None:
    done = run_clusterview("deploy", "--simulate", "1x1xL4", **{API_KEY_VARIABLE: ""})
    assert API_KEY_VARIABLE in one_line_error(done)


def test_what_outlives_a_command_does_not_inherit_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(API_KEY_VARIABLE, KEY)
    assert KEY not in child_environment().values()
