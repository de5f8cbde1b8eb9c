"""The router in front of the built-in engine: it tokenizes, and speaks to the replicas' leaders in tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator

from cluster.deploy.ray_replica import RayReplica
from cluster.deploy.router.access import AccessRules
from cluster.deploy.router.balancer import Route
from cluster.deploy.router.http_app import make_app
from cluster.deploy.router.prepare import Settings
from cluster.deploy.router.preparer import Preparer
from cluster.deploy.router.replica_pool import SamplingParams
from cluster.deploy.router.router_tokenizer import RouterTokenizer
from cluster.deploy.router.screen_errors import errors_without_http
from cluster.deploy.router_pool import ReportedPool
from cluster.deploy.spec import DeploymentSpec
from cluster.runtime.weight_source import weights_folder


class BuiltinFront:
    """What a router actor needs for the built-in engine."""

    def __init__(self, spec: DeploymentSpec, rules: AccessRules) -> None:
        vocab_size = int(spec.model.config["vocab_size"])
        self.pool = ReportedPool(RayReplica)
        source = spec.model
        folder = None if source.without_tokenizer else weights_folder(source, with_weights=False)
        self._tokenizer = RouterTokenizer(folder, vocab_size)
        self._preparer = Preparer(Settings(source.name, spec.max_model_len, folder, vocab_size))
        self._preparer.warm_up()
        self.app = make_app(self.pool, preparer=self._preparer, tokenizer=self._tokenizer, rules=rules)
        self.balancer = self.app.state.balancer
        self.max_body_bytes = self._preparer.limits.max_bytes
        self.files_per_client = 1

    async def prompt(self, text: str, max_tokens: int) -> AsyncIterator[tuple[str, int | None]]:
        """Yield the answer to a prompt piece by piece, each with the replica it comes from."""
        route, decoder = Route(), self._tokenizer.decoder()
        params = SamplingParams(max_tokens=max_tokens, temperature=0.0)
        with errors_without_http():
            prepared = await self._preparer.prepare("text", text.encode("utf-8", "replace"))
            tokens = self.app.state.dispatcher.generate(prepared.answer_request.prompt_ids, params, route)
            async for token in tokens:
                replica = None if route.replica is None else int(route.replica)
                piece = "" if token.finish_reason == "stop" else decoder.push(token.token_id)
                yield piece, replica
        yield decoder.flush(), None if route.replica is None else int(route.replica)
