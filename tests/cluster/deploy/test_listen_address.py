"""Who can reach a router, and the address that is shown."""

from __future__ import annotations

import pytest

from cluster.deploy.listen_address import check_key, is_loopback, shown_host
from cluster.deploy.router.router_limits import ConnectionLimits
from cluster.deploy.router.server import listening_socket
from cluster.deploy.spec import DeploymentSpec, ModelSource
from cluster.errors import BadInput
from cluster.planner.layout import Layout
from tests.ray.support import ENGINE


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "LOCALHOST", "::1"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "head.example", "", "localhost.example"])
def test_beyond_loopback(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "10.1.2.3"),
        ("::", "10.1.2.3"),
        ("10.9.9.9", "10.9.9.9"),
        ("::1", "[::1]"),
        ("head.example", "head.example"),
    ],
)
def test_the_shown_address_can_be_used(host: str, shown: str) -> None:
    assert shown_host(host, "10.1.2.3") == shown


def test_a_node_that_is_known_by_name_is_shown_by_name() -> None:
    assert shown_host("0.0.0.0", "node-1") == "node-1"


def order(host: str, *keys: str) -> DeploymentSpec:
    return DeploymentSpec(
        name="a",
        model=ModelSource(name="m", config={}),
        layout=Layout(),
        engine=ENGINE,
        ranks=(),
        router_host=host,
        api_key_sha256=keys,
    )


def test_beyond_loopback_a_key_is_needed() -> None:
    check_key(order("127.0.0.1"))
    check_key(order("0.0.0.0", "digest"))
    with pytest.raises(BadInput, match=r"a router on 0\.0\.0\.0 .* needs an API key"):
        check_key(order("0.0.0.0"))


def test_an_address_of_another_machine_is_one_clear_error() -> None:
    for host in ("192.0.2.1", "no-such-host.invalid"):
        with pytest.raises(BadInput, match=f"the router cannot listen on {host}"):
            listening_socket(host, 0, ConnectionLimits())


def test_a_taken_port_is_replaced_and_ipv6_works() -> None:
    first = listening_socket("127.0.0.1", 0, ConnectionLimits())
    first.listen()
    port = first.getsockname()[1]
    second = listening_socket("127.0.0.1", port, ConnectionLimits())
    assert second.getsockname()[1] not in (0, port)
    sixth = listening_socket("::1", 0, ConnectionLimits())
    assert sixth.getsockname()[0] == "::1"
    for one in (first, second, sixth):
        one.close()
