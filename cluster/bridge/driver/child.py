"""The process that is the Ray driver: `python -m cluster.bridge.driver.child ORDERS_FD EVENTS_FD TARGET LOG`.

It lives exactly as long as the pipe that orders come through. Whatever Ray prints goes to a log file.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from pydantic import ValidationError

from cluster.bridge.driver.event_writer import EventWriter
from cluster.bridge.driver.ray_link import never_start_a_cluster
from cluster.bridge.driver.ray_place import RayPlace
from cluster.bridge.events import SessionLost
from cluster.bridge.protocol import (
    ORDER,
    Alive,
    CalibrateOrder,
    DeployOrder,
    DescribeOrder,
    DismissOrder,
    LogsOrder,
    Order,
    Reply,
    ScaleOrder,
    StopOrder,
    Target,
    to_failure,
)
from cluster.bridge.state.logs import remove_log
from cluster.calibration.result import Calibration
from cluster.deploy.log_page import LogPage
from cluster.deploy.spec import DeploymentSpec
from cluster.process_table import end_with_parent
from cluster.streams import print_to_log

_ORDERS_AT_ONCE = 16
_LEAVE_S = 3.0
_ALIVE_S = 1.0
_GARBAGE_THRESHOLDS = (5_000, 20, 200)
"""Of the three generations, as gc.set_threshold takes them."""


def main() -> None:
    """Serve one parent until its pipe ends."""
    print_to_log()
    # A full collection walks every object of a large cluster for hundreds of milliseconds: make it rare.
    gc.set_threshold(*_GARBAGE_THRESHOLDS)
    end_with_parent(os.getppid())
    never_start_a_cluster()
    orders_fd, events_fd = int(sys.argv[1]), int(sys.argv[2])
    writer = EventWriter(events_fd)
    threading.Thread(target=_show_life, args=(writer,), name="alive", daemon=True).start()
    place = RayPlace(Target.model_validate_json(sys.argv[3]), writer.send)
    entered: Future[None] = Future()
    threading.Thread(target=_enter, args=(place, writer, entered), name="discovery", daemon=True).start()
    pool = ThreadPoolExecutor(_ORDERS_AT_ONCE, thread_name_prefix="order")
    with os.fdopen(orders_fd, "rb") as lines:
        for line in lines:
            try:
                order = ORDER.validate_json(line)
            except ValidationError as error:
                sys.stderr.write(f"not an order: {error}\n")
                continue
            pool.submit(_carry_out, order, place, writer, entered)
    # The parent is gone, so nobody will read the log.
    remove_log(Path(sys.argv[4]))
    _end(place)


def _show_life(writer: EventWriter) -> None:
    while True:
        writer.send(Alive())
        time.sleep(_ALIVE_S)


def _enter(place: RayPlace, writer: EventWriter, entered: Future[None]) -> None:
    """Join the cluster and watch it until it ends; the parent gets the reason when that ends."""
    try:
        place.enter()
        entered.set_result(None)
        place.watch()
    except BaseException as error:
        failure = to_failure(error if isinstance(error, Exception) else RuntimeError(repr(error)))
        if not entered.done():
            entered.set_exception(error)
        writer.send(SessionLost(reason=failure.message, hint=failure.hint, type=failure.type))
        _end(place)


def _carry_out(order: Order, place: RayPlace, writer: EventWriter, entered: Future[None]) -> None:
    try:
        entered.result()
        reply = Reply(order_id=order.order_id, result=_result_of(order, place))
    except Exception as error:
        sys.stderr.write(f"order {order.kind} failed: {error!r}\n")
        reply = Reply(order_id=order.order_id, failure=to_failure(error))
    writer.send(reply)


def _result_of(order: Order, place: RayPlace) -> LogPage | DeploymentSpec | Calibration | None:
    """Carry an order out; returns what it asks for."""
    if isinstance(order, LogsOrder):
        return place.logs(order.name, order.replica, order.member, order.first, order.most)
    if isinstance(order, DescribeOrder):
        return place.describe(order.name)
    if isinstance(order, CalibrateOrder):
        return place.calibrate(order.title)
    if isinstance(order, DeployOrder):
        (place.check if order.dry_run else place.deploy)(order.spec)
    elif isinstance(order, DismissOrder):
        place.dismiss(order.node_id)
    elif isinstance(order, StopOrder):
        place.stop(order.name, order.drain_s)
    elif isinstance(order, ScaleOrder):
        place.scale(order.spec, order.drain_s)
    else:
        place.prompt(order.name, order.prompt_id, order.text, order.max_tokens)
    return None


def _end(place: RayPlace) -> None:
    """Leave the cluster if that goes quickly, and end in any case."""
    timer = threading.Timer(_LEAVE_S, os._exit, (0,))
    timer.daemon = True
    timer.start()
    place.leave()
    os._exit(0)


if __name__ == "__main__":
    main()
