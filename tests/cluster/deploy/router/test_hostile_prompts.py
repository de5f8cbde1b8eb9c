"""The cost of a chat template, tokenizer or parser is bounded and does not affect other requests."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from cluster.deploy.router.api_errors import ApiError
from cluster.deploy.router.prepare import Settings
from cluster.deploy.router.preparer import Preparer
from cluster.deploy.router.router_limits import MIB, PrepareLimits
from tests.cluster.deploy.router.conftest import CONTEXT, MODEL, Serve
from tests.cluster.deploy.router.hostile import HARMS, NEVER_COMPILED, write_model_folder
from tests.cluster.deploy.router.test_bad_requests import check_error

LIMITS = PrepareLimits(cpu_s=0.4, wall_s=10.0, memory_bytes=256 * MIB)
HASTY = PrepareLimits(cpu_s=0.4, wall_s=0.3, memory_bytes=256 * MIB)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Preparer]:
    folder = write_model_folder(tmp_path_factory.mktemp("model"))
    preparer = Preparer(Settings(MODEL, CONTEXT, str(folder), 256), small=LIMITS, large=LIMITS)
    yield preparer
    preparer.close()


@pytest.fixture
async def hasty() -> AsyncIterator[Preparer]:
    preparer = Preparer(Settings(MODEL, CONTEXT, None, 257), small=HASTY, large=HASTY)
    yield preparer
    await asyncio.to_thread(preparer.close)


def child_pid(preparer: Preparer) -> int:
    child = preparer._completions._child
    assert child is not None
    return child._process.pid


def body(**fields: object) -> bytes:
    return json.dumps({"model": MODEL, **fields}).encode()


@pytest.mark.parametrize("harm", HARMS)
async def test_a_template_is_bounded_in_time_and_memory(serve: Serve, hostile: Preparer, harm: str) -> None:
    served = serve(preparer=hostile)
    message = check_error(await served.chat(harm), 400)["message"]
    assert "chat template" in message
    answer = await served.chat("ok")
    assert answer.status_code == 200, answer.text
    assert answer.json()["usage"]["prompt_tokens"] == len("ok")


async def test_a_template_that_hangs_for_every_chat_leaves_completions_alone(
    serve: Serve, tmp_path: Path
) -> None:
    settings = Settings(MODEL, CONTEXT, str(write_model_folder(tmp_path, NEVER_COMPILED)), 256)
    preparer = Preparer(settings, small=LIMITS, large=LIMITS)
    served = serve(preparer=preparer)
    for _ in range(2):
        assert check_error(await served.chat("hi"), 400)["code"] == "preparation_limit"
    assert (await served.complete("abc")).status_code == 200
    await asyncio.to_thread(preparer.close)


async def test_other_requests_are_answered_while_a_template_runs(serve: Serve, hostile: Preparer) -> None:
    served = serve(preparer=hostile)
    await served.complete("warm")
    stuck = asyncio.create_task(served.chat("loops"))
    await asyncio.sleep(0)
    assert (await served.complete("abc")).status_code == 200
    assert not stuck.done()
    assert "CPU time" in check_error(await stuck, 400)["message"]


async def test_other_requests_are_answered_while_a_large_one_is_prepared(
    serve: Serve, hostile: Preparer
) -> None:
    served = serve(preparer=hostile)
    await served.complete("warm")
    large = asyncio.create_task(served.complete("a b " * 200_000))
    await asyncio.sleep(0)
    assert (await served.complete("abc")).status_code == 200
    assert not large.done()
    assert check_error(await large, 400)["param"] in ("prompt", None)


async def test_small_requests_go_before_large_ones_that_wait(hostile: Preparer) -> None:
    await hostile.prepare("completion", body(prompt="warm"))
    finished: list[str] = []

    async def ask(name: str, size: int) -> None:
        await hostile.prepare("completion", body(prompt="abc", pad="x" * size))
        finished.append(name)

    large = [asyncio.create_task(ask(f"large {number}", 50_000)) for number in range(4)]
    await asyncio.gather(*large, asyncio.create_task(ask("small", 0)))
    assert finished.index("small") <= 1


async def test_waiting_too_long_in_the_queue_is_503(tmp_path: Path) -> None:
    limits = PrepareLimits(cpu_s=1.0, wall_s=10.0, memory_bytes=256 * MIB, queue_s=0.1)
    settings = Settings(MODEL, CONTEXT, str(write_model_folder(tmp_path)), 256)
    preparer = Preparer(settings, small=limits, large=limits)
    talk = body(messages=[{"role": "user", "content": "loops"}])
    with contextlib.suppress(ApiError):
        await preparer.prepare("chat", talk)
    answers = await asyncio.gather(
        *(preparer.prepare("chat", talk) for _ in range(3)), return_exceptions=True
    )
    codes = [answer.code for answer in answers if isinstance(answer, ApiError)]
    assert sorted(code or "" for code in codes)[:2] == ["busy", "busy"]
    await asyncio.to_thread(preparer.close)


async def test_a_screens_prompt_is_prepared_too(hostile: Preparer) -> None:
    prepared = await hostile.prepare("text", "héllo".encode())
    assert len(prepared.answer_request.prompt_ids) == 6
    with pytest.raises(ApiError, match="context is"):
        await hostile.prepare("text", b"x" * CONTEXT)


async def test_a_killed_process_is_replaced(hasty: Preparer) -> None:
    await hasty.prepare("completion", body(prompt="abc"))
    os.kill(child_pid(hasty), signal.SIGKILL)
    while True:
        # A request that finds the process dead, or dies with it, may fail with an error that says to retry.
        try:
            prepared = await hasty.prepare("completion", body(prompt="abc"))
            break
        except ApiError as error:
            assert (error.status, error.retry_after_s) == (503, 1)
    assert prepared.answer_request.prompt_ids == [97, 98, 99]


async def test_a_stopped_process_is_noticed_and_replaced(hasty: Preparer) -> None:
    await hasty.prepare("completion", body(prompt="abc"))
    stopped = child_pid(hasty)
    os.kill(stopped, signal.SIGSTOP)
    with pytest.raises(ApiError, match="try again later") as caught:
        await hasty.prepare("completion", body(prompt="abc"))
    assert caught.value.status == 503
    assert child_pid(hasty) != stopped
    assert not Path(f"/proc/{stopped}").exists()


async def test_closing_leaves_no_process(hasty: Preparer) -> None:
    await hasty.prepare("completion", body(prompt="abc"))
    child = hasty._completions._child
    assert child is not None
    await asyncio.to_thread(hasty.close)
    # Its pid may be another process's by now.
    assert child._process.returncode is not None


async def test_a_process_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{")
    preparer = Preparer(Settings(MODEL, CONTEXT, str(tmp_path), 257))
    with pytest.raises(ApiError, match=r"tokenizer\.json cannot be read") as caught:
        await preparer.prepare("completion", body(prompt="abc"))
    assert caught.value.status == 503
    await asyncio.to_thread(preparer.close)
