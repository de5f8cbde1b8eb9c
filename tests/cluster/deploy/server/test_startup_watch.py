"""The start of a server as its log tells it."""

from __future__ import annotations

from cluster.deploy.rank_report import RankStep
from cluster.deploy.server.startup_watch import StartupWatch
from cluster.engines.startup import LogNews, StartupFacts, StartupPhase


def watch(*news: LogNews) -> StartupWatch:
    lines = iter(news)
    watched = StartupWatch(lambda _: next(lines, None))
    for _ in news:
        watched.hear("a line")
    return watched


def test_phases_become_steps() -> None:
    assert watch().step is RankStep.STARTED
    assert watch(LogNews(StartupPhase.LOADING, 0.3)).step is RankStep.LOADING
    assert watch(LogNews(StartupPhase.CAPTURING, 0.5)).step is RankStep.WARMING_UP


def test_processes_that_log_side_by_side_do_not_turn_it_back() -> None:
    watched = watch(LogNews(StartupPhase.KV_CACHE), LogNews(StartupPhase.LOADING, 0.9))
    assert (watched.phase, watched.progress) == (StartupPhase.KV_CACHE, None)


def test_progress_starts_over_with_each_phase() -> None:
    loading, capturing = LogNews(StartupPhase.LOADING, 0.9), LogNews(StartupPhase.CAPTURING)
    assert watch(loading).progress == 0.9
    assert watch(loading, capturing).progress is None
    assert watch(LogNews(StartupPhase.LOADING, 7.0)).progress == 1.0


def test_facts_add_up_and_the_first_permanent_error_stays() -> None:
    watched = watch(
        LogNews(facts=StartupFacts(weights_bytes=1)),
        LogNews(facts=StartupFacts(kv_cache_tokens=2), permanent_error="no such option"),
        LogNews(permanent_error="it exits"),
    )
    assert (watched.facts.weights_bytes, watched.facts.kv_cache_tokens) == (1, 2)
    assert watched.permanent_error == "no such option"


def test_a_line_that_an_adapter_cannot_read_is_passed_over() -> None:
    def fails(_: str) -> LogNews:
        raise ValueError("unexpected")

    watched = StartupWatch(fails)
    watched.hear("a line")
    assert watched.phase is StartupPhase.STARTING


def test_the_first_exception_is_the_cause() -> None:
    watched = StartupWatch(lambda _: None)
    for line in (
        "(APIServer pid=1) WARNING [utils.py:2] errors like `OSError: [Errno 24]` may come",
        "(Worker-0 pid=3) ERROR 11-28 04:33:59 [executor.py:953] ValueError: too little memory",
        "RuntimeError: Engine core initialization failed. See root cause above.",
    ):
        watched.hear(line)
    assert watched.first_exception == "ValueError: too little memory"
