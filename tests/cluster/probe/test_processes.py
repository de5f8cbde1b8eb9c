"""Process names come from outside, and in a container a pid may be another process."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.inventory import GpuProcess
from cluster.probe.processes import process_name

HOST = "pid:[4026531836]"
CONTAINER = "pid:[4026532207]"


@pytest.fixture
def proc(tmp_path: Path):  # type: ignore[no-untyped-def]
    def build(namespace: str, cmdline: bytes, comm: str = "comm", opens: tuple[str, ...] = ()) -> Path:
        (tmp_path / "self/ns").mkdir(parents=True)
        (tmp_path / "self/ns/pid").symlink_to(namespace)
        folder = tmp_path / "42"
        (folder / "fd").mkdir(parents=True)
        (folder / "cmdline").write_bytes(cmdline)
        (folder / "comm").write_text(comm)
        for number, target in enumerate(opens):
            (folder / "fd" / str(number)).symlink_to(target)
        return tmp_path

    return build


@pytest.mark.parametrize(
    ("cmdline", "name"),
    [
        (b"/usr/bin/python3\0serve.py\0--token=secret\0", "python3"),
        (b"ray::Rank.step\0", "ray::Rank.step"),
        (b"", "comm"),
        (b"trainer --api-key=secret", "trainer"),
    ],
)
def test_the_program_is_named_never_its_arguments(proc, cmdline: bytes, name: str) -> None:  # type: ignore[no-untyped-def]
    assert process_name(42, proc(HOST, cmdline)) == name


def test_in_a_container_a_host_pid_has_no_name(proc) -> None:  # type: ignore[no-untyped-def]
    assert process_name(42, proc(CONTAINER, b"bash\0", opens=("/dev/null",))) is None


def test_in_a_container_a_process_seen_on_the_gpu_is_named(proc) -> None:  # type: ignore[no-untyped-def]
    assert process_name(42, proc(CONTAINER, b"vllm\0", opens=("/dev/null", "/dev/nvidia0"))) == "vllm"


def test_a_process_that_is_gone_has_no_name(proc) -> None:  # type: ignore[no-untyped-def]
    assert process_name(43, proc(HOST, b"x\0")) is None


def test_a_hostile_name_is_cleaned(proc) -> None:  # type: ignore[no-untyped-def]
    raw = b"\x1b]52;c;ZXZpbA==\x07evil\xc2\x9b31m\xe2\x80\xaelive[@click=app.quit]\xff"
    name = process_name(42, proc(HOST, raw))
    shown = GpuProcess(pid=42, name=name).name
    assert shown is not None
    assert "[@click=app.quit]" in shown
    assert all(char.isprintable() or char == "\ufffd" for char in shown)
    assert not set(shown) & {"\x1b", "\x9b", "\u202e", "\x07"}
