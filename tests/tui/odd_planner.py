"""A planning process that does what the model's name says. Run by tests as PlannerProcess's module.

hangs: never answers. hogs: holds the interpreter in one call into C. dies: is killed. stops: is stopped.
refuses: raises what a user hears. breaks: raises what nobody foresaw. Others are planned at once.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading

from cluster.errors import UnknownName
from cluster.inventory import Cluster
from cluster.planner.request import PlanRequest
from cluster.planner.result import Plan
from tests.tui.builders import make_plan
from tui.planner.child import main


def plan(cluster: Cluster, model_name: str, request: PlanRequest) -> Plan:
    """Behave."""
    if model_name == "hangs":
        threading.Event().wait()
    if model_name == "hogs":
        re.match(r"(a+)+$", "a" * 64 + "b")
    if model_name == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if model_name == "stops":
        os.kill(os.getpid(), signal.SIGSTOP)
    if model_name == "refuses":
        raise UnknownName("Unknown model 'refuses'", "Did you mean 'refuge'?")
    if model_name == "breaks":
        raise ZeroDivisionError("in the planner")
    return make_plan(cluster, model_name, request)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), plan))
