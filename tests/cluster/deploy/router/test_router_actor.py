"""The router's actor without Ray: prompts of the screen fail with a message that the screen can show."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from cluster.deploy import router_actor
from cluster.deploy.api_keys import hashed_keys
from cluster.deploy.router_actor import RouterActor
from cluster.deploy.spec import DeploymentSpec, ModelSource
from cluster.errors import BadInput, Unreachable
from cluster.planner.layout import Layout
from tests.ray.support import ENGINE


@pytest.fixture
def actor(monkeypatch: pytest.MonkeyPatch) -> Iterator[RouterActor]:
    # There is no controller to watch here.
    monkeypatch.setattr(router_actor, "ControllerWatch", lambda pid, gcs_address: None)
    spec = DeploymentSpec(
        name="a",
        model=ModelSource(name="m", config={"vocab_size": 320}),
        layout=Layout(),
        engine=ENGINE,
        ranks=(),
        max_model_len=200,
        api_key_sha256=hashed_keys(["a-key"], None, {}),
        allowed_hosts=("llm.example",),
    )
    actor = RouterActor(spec, 0, "")
    yield actor
    actor._front._preparer.close()


async def test_a_prompt_that_cannot_be_answered_says_why(actor: RouterActor) -> None:
    with pytest.raises(BadInput, match="the prompt has 500 tokens, but this deployment's context is 200"):
        await anext(actor.prompt("x" * 500, 5))
    with pytest.raises(Unreachable, match="no replica can answer"):
        await anext(actor.prompt("hello", 5))


async def test_the_orders_key_and_hosts_apply(actor: RouterActor) -> None:
    transport = httpx.ASGITransport(actor._front.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://llm.example") as client:
        assert (await client.get("/v1/models")).status_code == 401
        answer = await client.get("/v1/models", headers={"authorization": "Bearer a-key"})
        assert answer.status_code == 200
        assert (await client.get("/metrics", headers={"host": "evil.example"})).status_code == 403
