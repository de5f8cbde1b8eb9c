"""Process names come from outside, and in a container a pid may be another process."""

from __future__ import annotations

import pwd
import threading
import time
from pathlib import Path

import pytest

from cluster.inventory import GpuProcess
from cluster.probe.command_line import command_line
from cluster.probe.process_names import ProcessNames
from cluster.probe.users import UserNames

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
    assert ProcessNames(proc(HOST, cmdline)).of(42).name == name


def test_in_a_container_a_host_pid_has_no_name(proc) -> None:  # type: ignore[no-untyped-def]
    known = ProcessNames(proc(CONTAINER, b"bash\0", opens=("/dev/null",))).of(42)
    assert (known.name, known.command, known.user, known.other_namespace) == (None, None, None, True)


def test_in_a_container_a_process_seen_on_the_gpu_is_named(proc) -> None:  # type: ignore[no-untyped-def]
    known = ProcessNames(proc(CONTAINER, b"vllm\0", opens=("/dev/null", "/dev/nvidia0"))).of(42)
    assert (known.name, known.other_namespace) == ("vllm", False)


def test_in_a_container_a_pid_that_is_not_here_is_of_another_namespace(proc) -> None:  # type: ignore[no-untyped-def]
    assert ProcessNames(proc(CONTAINER, b"x\0")).of(43).other_namespace


def test_a_process_that_is_gone_has_no_name(proc) -> None:  # type: ignore[no-untyped-def]
    known = ProcessNames(proc(HOST, b"x\0")).of(43)
    assert (known.name, known.other_namespace) == (None, False)


def test_a_hostile_name_is_cleaned(proc) -> None:  # type: ignore[no-untyped-def]
    raw = b"\x1b]52;c;ZXZpbA==\x07evil\xc2\x9b31m\xe2\x80\xaelive[@click=app.quit]\xff"
    name = ProcessNames(proc(HOST, raw)).of(42).name
    shown = GpuProcess(pid=42, name=name).name
    assert shown is not None
    assert "[@click=app.quit]" in shown
    assert all(char.isprintable() or char == "\ufffd" for char in shown)
    assert not set(shown) & {"\x1b", "\x9b", "\u202e", "\x07"}


def test_a_process_is_looked_up_again_after_a_while(proc) -> None:  # type: ignore[no-untyped-def]
    now_s = 0.0
    root = proc(HOST, b"sh\0")
    names = ProcessNames(root, clock=lambda: now_s)
    assert names.of(42).name == "sh"
    (root / "42/cmdline").write_bytes(b"train.py\0")
    assert names.of(42).name == "sh"
    now_s = 15.0
    assert names.of(42).name == "train.py"


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"python3\0-m\0vllm\0serve\0--port=8000\0", "python3 -m vllm serve --port=8000"),
        (b"serve\0--api-key=abc\0--tp\x008\0", "serve --api-key=*** --tp 8"),
        (b"serve\0--api-key\0abc\0--tp\x008\0", "serve --api-key *** --tp 8"),
        (b"trainer --hf-token abc --steps 3", "trainer --hf-token *** --steps 3"),
        (b"env\0HF_TOKEN=abc\0WANDB_API_KEY=def\0x\0", "env HF_TOKEN=*** WANDB_API_KEY=*** x"),
        (b"curl\0hf_abcdefghijkl\0sk-abcdefghijkl\0", "curl *** ***"),
        (b"x\0redis://me:pw@host/0\0", "x redis://***@host/0"),
        (b"serve\0--tokenizer\0org/model\0--max-tokens=5\0", "serve --tokenizer org/model --max-tokens=5"),
        (b"--enable-auth\0--x\0", "--enable-auth --x"),
        (b"", None),
    ],
)
def test_a_command_line_is_shown_without_its_secrets(raw: bytes, shown: str | None) -> None:
    assert command_line(raw) == shown


def test_a_command_line_of_megabytes_costs_nothing() -> None:
    line = command_line(b"--" + b"token" * 500_000 + b"\0" + b"x\0" * 500_000)
    assert line is not None
    assert len(line) <= 256


def test_a_user_is_named_by_number_while_the_directory_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked, answer = threading.Event(), threading.Event()

    def slow(uid: int) -> pwd.struct_passwd:
        asked.set()
        answer.wait(30)
        return pwd.struct_passwd(("alice", "x", uid, 1, "", "/", "/bin/sh"))

    monkeypatch.setattr(pwd, "getpwuid", slow)
    users = UserNames(first_wait_s=0.01)
    assert users.name(1234) == "1234"
    assert asked.wait(30)
    answer.set()
    deadline_s = time.monotonic() + 30
    while users.name(1234) != "alice" and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert users.name(1234) == "alice"


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(uid: int) -> pwd.struct_passwd:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", missing)
    assert UserNames(first_wait_s=30.0).name(4321) == "4321"
