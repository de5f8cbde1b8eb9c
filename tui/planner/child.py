"""The process that plans: `python -m tui.planner.child FD PARENT`. One question at a time.

A search is pure Python and would starve the screen's event loop; a read of a hung file system cannot be
interrupted at all. Here either can be left: the screen ends this process and starts another.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection

from tui.planner.by_name import PlanFunction, plan_with_catalog
from tui.planner.wire import Failed, Planned, Question

MOST_S = 300
"""The kernel kills a plan that takes this long, whatever it is doing; the screen gives up earlier."""
_LOOK_S = 1.0


def main(fd: int, parent: int, plan: PlanFunction = plan_with_catalog) -> int:
    """Answer questions with `plan` until the screen is gone."""
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    _warm_up()
    with Connection(fd) as pipe:
        while True:
            try:
                question = pipe.recv()
            except (EOFError, OSError):
                return 0
            signal.alarm(MOST_S)
            answer = _answer(question, plan)
            signal.alarm(0)
            try:
                pipe.send(answer)
            except OSError:
                return 0


def _answer(question: Question, plan: PlanFunction) -> Planned | Failed:
    try:
        return Planned(plan(question.cluster, question.model_name, question.request))
    except Exception as error:
        return Failed.by(error)


def _warm_up() -> None:
    """Import what a plan needs before the first question."""
    try:
        import cluster.catalog.models
        import cluster.deploy.engine_choice
        import cluster.planner.plan  # noqa: F401
    except Exception:
        # The first question reports what is wrong.
        return


def _end_with(parent: int) -> None:
    """Exit when the screen, this process's parent, is gone, even in the middle of a plan."""
    while os.getppid() == parent:
        time.sleep(_LOOK_S)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
