"""Reading a log through a controller: a page, or one line that says why there is none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from cluster.bridge.driver.read_controller import MOST_LINES, read_log, read_order
from cluster.deploy.log_page import LogPage
from cluster.errors import Unreachable


def controller(answer: Any) -> Any:
    """A controller's actor whose answer `ray.get` below returns or raises."""
    asked: list[tuple[int, ...]] = []

    def remote(*numbers: int) -> Any:
        asked.append(numbers)
        return answer

    return SimpleNamespace(log=SimpleNamespace(remote=remote), asked=asked)


@pytest.fixture(autouse=True)
def fake_get(monkeypatch: pytest.MonkeyPatch) -> None:
    def get(answer: Any, timeout: float) -> Any:
        assert 0 < timeout <= 30
        if isinstance(answer, Exception):
            raise answer
        return answer

    ray = pytest.importorskip("ray")
    monkeypatch.setattr(ray, "get", get)


def test_a_page_comes_back_with_at_most_so_many_lines() -> None:
    actor = controller(LogPage(replica=1, member=0, first=5, lines=("a", "b")))
    page = read_log("n", actor, 1, 0, -20, 10**9)
    assert (page.first, page.lines, page.next) == (5, ("a", "b"), 7)
    assert actor.asked == [(1, 0, -20, MOST_LINES)]


def test_an_answer_is_cleaned_again() -> None:
    """An actor of another version may not have done it."""
    raw = LogPage.model_construct(replica=0, lines=("\x1b[31mred",), unknown=1, first=0)
    assert read_log("n", controller(raw), 0, 0, 0, 5).lines == ("[31mred",)


def test_a_controller_that_hangs_is_one_line() -> None:
    import ray

    with pytest.raises(Unreachable, match="controller of n has not answered for 10 s"):
        read_log("n", controller(ray.exceptions.GetTimeoutError()), 0, 0, 0, 5)


def test_an_error_of_the_controller_is_one_line() -> None:
    with pytest.raises(Unreachable, match="log of n cannot be read: no such replica"):
        read_log("n", controller(ValueError("no such replica")), 9, 0, 0, 5)


def test_a_controller_without_logs_says_so() -> None:
    with pytest.raises(Unreachable, match="no log of n: it was started by a version"):
        read_log("n", SimpleNamespace(), 0, 0, 0, 5)


def test_an_order_comes_back_as_it_is() -> None:
    asked = SimpleNamespace(order=SimpleNamespace(remote=lambda: "the order"))
    assert read_order("n", asked) == "the order"  # type: ignore[comparison-overlap]
    with pytest.raises(Unreachable, match="no order of n"):
        read_order("n", SimpleNamespace())
