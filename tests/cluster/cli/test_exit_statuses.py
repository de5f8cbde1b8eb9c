"""Whose fault it was: 2 the user's, 3 the system's, 4 ours. One line each, and never a traceback unasked."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from cluster.cli.faults import guarded
from cluster.errors import BadInput, DeployFailed, SystemFailed, Unreachable, refused
from tests.cluster.cli.run_clusterview import run_clusterview

PLAN = "--dry-run --cluster 2x4xA100-80GB --model llama-3.1-8b"
PRINTING = (
    "--help",
    "--version",
    "deploy --help",
    "status",
    "doctor --cluster 1xL4",
    "snapshot --cluster 1xL4",
)


def in_shell(
    arguments: str, redirected: str, tmp_path: Path, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run `clusterview` with its streams redirected as a shell does it."""
    environment = {**os.environ, "CLUSTERVIEW_STATE_DIR": str(tmp_path), **more}
    command = f"exec '{sys.executable}' -m tui {arguments} {redirected}"
    return subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, env=environment, timeout=60, check=False
    )


@pytest.mark.parametrize("arguments", [*PRINTING, PLAN, f"{PLAN} --json"])
@pytest.mark.parametrize(
    ("redirected", "reason"), [(">/dev/full", "No space left"), (">&-", "Bad file desc")]
)
def test_a_stdout_that_takes_nothing(arguments: str, redirected: str, reason: str, tmp_path: Path) -> None:
    done = in_shell(arguments, redirected, tmp_path)
    assert done.returncode == 3, done.stderr
    lines = done.stderr.splitlines()
    assert lines[-1].startswith(f"clusterview: cannot write to stdout: {reason}")
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


@pytest.mark.parametrize("redirected", ["2>&-", "2>/dev/full", "<&-", "<&- 2>&-"])
def test_without_stdin_or_stderr_the_answer_is_the_same(redirected: str, tmp_path: Path) -> None:
    done = in_shell("--dry-run --cluster 2x4xA100-80GB", redirected, tmp_path)
    assert done.returncode == 0 and "TP=4, DP=2" in done.stdout
    assert in_shell("--dry-run --cluster nonsense", redirected, tmp_path).returncode == 2


def test_all_streams_closed(tmp_path: Path) -> None:
    assert in_shell("status", "<&- >&- 2>&-", tmp_path).returncode == 3
    assert in_shell("bogus", "<&- >&- 2>&-", tmp_path).returncode == 2


def test_nothing_printed_lands_in_a_file_opened_later(tmp_path: Path) -> None:
    """With stdout closed the next file opened would be descriptor 1."""
    target = tmp_path / "cluster.json"
    done = in_shell(f"snapshot --cluster 1xL4 -o {target}", "<&- >&- 2>&-", tmp_path)
    assert done.returncode == 0
    assert run_clusterview("doctor", "--cluster", str(target)).returncode == 0


def test_a_reader_that_leaves_is_no_failure(tmp_path: Path) -> None:
    done = in_shell(f"{PLAN} --json", "| head -c 1", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "{", "")


def test_a_full_pipe_that_does_not_block_is_waited_for(tmp_path: Path) -> None:
    """Some parents leave their pipes non-blocking: the answer is whole all the same."""
    snapshot = tmp_path / "c.json"
    assert run_clusterview("snapshot", "--cluster", "200x8xL4", "-o", str(snapshot)).returncode == 0
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    command = [sys.executable, "-m", "tui", "snapshot", "--cluster", str(snapshot)]
    process = subprocess.Popen(command, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert process.stderr is not None
    with os.fdopen(reading, encoding="utf-8") as answer, process.stderr as complaints:
        # More than a pipe holds, and nobody reads until the pipe is full.
        while process.poll() is None and not _holds(reading, 65536):
            time.sleep(0.05)
        assert len(json.loads(answer.read())["cluster"]["nodes"]) == 200 and complaints.read() == ""
    assert process.wait(30) == 0


def _holds(pipe: int, num_bytes: int) -> bool:
    held = fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4)
    return int.from_bytes(held, sys.byteorder) >= num_bytes


def test_characters_that_the_terminal_lacks_are_spelled(tmp_path: Path) -> None:
    snapshot = run_clusterview("snapshot", "--cluster", "1xH100").stdout.replace('"node-1"', '"knöten…"')
    (tmp_path / "c.json").write_text(snapshot, encoding="utf-8")
    done = in_shell(
        f"{PLAN} --cluster {tmp_path}/c.json", "", tmp_path, PYTHONIOENCODING="ascii", PYTHONUTF8="0"
    )
    assert done.returncode == 0 and "kn\\xf6ten..." in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (BadInput("wrong", "Fix it"), 2, "wrong. Fix it"),
        (Unreachable("silent"), 2, "silent"),
        (DeployFailed("broke"), 1, "broke"),
        (SystemFailed("full"), 3, "full"),
        (OSError(errno.ENOSPC, "No space left on device", "/x"), 3, "/x: No space left on device. Free some"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), 3, "/x: Permission denied"),
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), 3, "limit on processes"),
        (RuntimeError("can't start new thread"), 3, "limit on processes"),
        (MemoryError(), 3, "out of memory"),
        (
            ModuleNotFoundError("No module named 'not_there'", name="not_there.part"),
            3,
            "package not-there is not installed. Run: ",
        ),
        (
            ImportError("cannot import name 'X' from 'textual.app'", name="textual.app"),
            3,
            "package textual cannot be imported: cannot import name 'X'",
        ),
        (ValueError("a\nb\x1b[31m"), 4, "a bug in clusterview: ValueError: a b[31m in"),
        (RecursionError(), 4, "RecursionError"),
        (AssertionError(), 4, "AssertionError"),
    ],
)
def test_each_failure_has_its_status_and_one_line(
    error: Exception, status: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> int:
        raise error

    assert guarded(fail) == status
    line = capsys.readouterr().err
    assert line.startswith("clusterview: ") and line.count("\n") == 1 and words in line
    assert ("Please report" in line) == (status == 4)


def test_a_fault_of_ours_names_its_place_and_offers_a_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> int:
        from cluster.units import format_bytes

        return len(format_bytes("seven"))  # type: ignore[arg-type]

    assert guarded(fail) == 4
    line = capsys.readouterr().err
    assert "in cluster/units.py:" in line and "CLUSTERVIEW_TRACEBACK=1" in line
    monkeypatch.setenv("CLUSTERVIEW_TRACEBACK", "1")
    assert guarded(fail) == 4
    told = capsys.readouterr().err
    assert told.startswith("Traceback") and told.splitlines()[-1] == line.strip()


def test_ctrl_c_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt() -> int:
        raise KeyboardInterrupt

    assert guarded(interrupt) == 130 and capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOENT, BadInput),
        (errno.EISDIR, BadInput),
        (errno.ENAMETOOLONG, BadInput),
        (errno.ENOSPC, SystemFailed),
        (errno.EACCES, SystemFailed),
        (errno.EIO, SystemFailed),
        (errno.EMFILE, SystemFailed),
    ],
)
def test_a_wrong_name_is_the_user_s_and_the_rest_is_the_system_s(number: int, kind: type) -> None:
    assert type(refused("cannot write x", OSError(number, os.strerror(number)))) is kind


def test_another_package_of_our_name_is_explained(tmp_path: Path) -> None:
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "__init__.py").write_text("")
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import cluster; sys.path.pop(0); "
    program += "from tui.__main__ import main; sys.exit(main(['--version']))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 3 and done.stderr.count("\n") == 1
    assert str(tmp_path / "cluster") in done.stderr


def test_the_statuses_are_in_the_help() -> None:
    told = run_clusterview("--help").stdout
    assert "3 system error" in told and "4 a bug in clusterview" in told
