"""End to end: a checkpoint split over ranks on two nodes answers over HTTP as transformers does."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest

from cluster.cli.session_view import SessionView
from cluster.deploy.router.router_tokenizer import RouterTokenizer
from cluster.deploy.spec import ModelSource
from tests.cluster.runtime.checkpoints import make_checkpoint, read_config, reference
from tests.ray.support import START_S, order

pytestmark = [pytest.mark.ray, pytest.mark.long]

PROMPTS = ((5, 17, 42), (1, 2, 3, 4, 5, 6, 7, 8), (99,))
NUM_TOKENS = 12
VOCAB_SIZE = 320


def complete(endpoint: str, prompt: tuple[int, ...]) -> str:
    body = {"model": "tiny", "prompt": list(prompt), "max_tokens": NUM_TOKENS, "temperature": 0}
    request = urllib.request.Request(
        f"{endpoint}/v1/completions", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        found = json.load(answer)
    assert found["usage"]["completion_tokens"] == NUM_TOKENS
    return str(found["choices"][0]["text"])


def as_text(token_ids: list[int]) -> str:
    decoder = RouterTokenizer(None, VOCAB_SIZE).decoder()
    return "".join(decoder.push(token_id) for token_id in token_ids) + decoder.flush()


def test_a_deployed_checkpoint_answers_as_transformers_does(view: SessionView, tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "tiny", "LlamaForCausalLM", vocab_size=VOCAB_SIZE)
    _, answers = reference(folder, PROMPTS[0], PROMPTS, NUM_TOKENS)
    assert view.cluster is not None
    model = ModelSource(name="tiny", path=str(folder), config=read_config(folder))
    spec = order(view.cluster, "same", [[(0, 0), (1, 0)], [(0, 1), (1, 1)]], model=model)
    view.session.deploy(spec).result(START_S)
    assert view.wait(lambda: (s := view.find("same")) is not None and s.state in ("ready", "failed"), START_S)
    status = view.find("same")
    assert status is not None and status.endpoint is not None, status
    expected = [as_text(token_ids) for token_ids in answers]
    # More requests than replicas, so that each replica answers.
    assert [complete(status.endpoint, prompt) for prompt in PROMPTS] == expected
    assert [complete(status.endpoint, prompt) for prompt in PROMPTS] == expected

    def both_served() -> bool:
        seen = view.find("same")
        return seen is not None and all(replica.requests_total > 0 for replica in seen.replicas)

    assert view.wait(both_served, 10), view.find("same")
    view.session.stop("same").result(START_S)
