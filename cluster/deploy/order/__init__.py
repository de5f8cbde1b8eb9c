"""From a plan to an order: one pure core for the key `d` and `clusterview deploy`.

Whatever a clock, a file, the environment or a session knows comes in as a value (`OrderTerms`, and the
`ModelOrigin` that the plan's model carries), so the same input always gives the same order.
"""

from cluster.deploy.engine_choice import BUILTIN, choose_engine
from cluster.deploy.order.choose import choose_candidate, why_not_runnable
from cluster.deploy.order.engine import engine_for
from cluster.deploy.order.make import LOOPBACK, OrderTerms, check_name, make_order
from cluster.deploy.order.request_check import check_request

__all__ = [
    "BUILTIN",
    "LOOPBACK",
    "OrderTerms",
    "check_name",
    "check_request",
    "choose_candidate",
    "choose_engine",
    "engine_for",
    "make_order",
    "why_not_runnable",
]
