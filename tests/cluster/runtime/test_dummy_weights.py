"""Dummy weights: the same full model in every layout, with sensible activations."""

from __future__ import annotations

import torch

from cluster.catalog.hf_config import model_from_config
from cluster.runtime.config import read_model_config
from cluster.runtime.dummy_weights import fill_with_dummy
from cluster.runtime.generation import GenerationRequest
from cluster.runtime.partition import rank_part
from cluster.runtime.rank_weights import WeightPlan
from cluster.runtime.scale import scale_config
from tests.cluster.runtime.ranks import Job, RankPool

CONFIG, _ = scale_config(
    model_from_config(
        {
            "architectures": ["LlamaForCausalLM"],
            "hidden_size": 8192,
            "intermediate_size": 28672,
            "num_hidden_layers": 80,
            "num_attention_heads": 64,
            "num_key_value_heads": 8,
            "vocab_size": 128256,
        },
        "large",
        "test",
    ),
    tp=4,
)


def make(tp: int, tp_rank: int, seed: int = 0) -> WeightPlan:
    config = read_model_config(CONFIG)
    part = rank_part(config, tp=tp, pp=1, tp_rank=tp_rank, stage=0)
    plan = WeightPlan(config, part, torch.device("cpu"), torch.float32)
    fill_with_dummy(plan.slices, seed, lambda fraction: None)
    return plan


def test_every_layout_slices_the_same_weights() -> None:
    whole = make(1, 0).weights
    ranks = [make(3, rank).weights for rank in range(3)]
    vocab = CONFIG["vocab_size"]
    assert torch.equal(torch.cat([rank.layers[2].down for rank in ranks], dim=1), whole.layers[2].down)
    assert torch.equal(torch.cat([rank.embedding for rank in ranks])[:vocab], whole.embedding)


def test_weights_differ_by_seed_layer_and_position_and_have_the_right_spread() -> None:
    layers = make(1, 0).weights.layers
    assert not torch.equal(layers[0].o, layers[1].o)
    assert not torch.equal(layers[0].o, make(1, 0, seed=1).weights.layers[0].o)
    values = layers[0].o
    assert values.unique().numel() > 0.99 * values.numel()
    assert abs(values.mean()) < 0.01 * values.std()
    assert torch.isclose(values.std() * values.shape[1] ** 0.5, torch.tensor(1.0), atol=0.02)
    correlation = torch.corrcoef(values[:8]) - torch.eye(8)
    assert correlation.abs().max() < 0.25


def test_a_simulated_deployment_answers_the_same_in_every_layout(pool: RankPool) -> None:
    source = {"config": CONFIG, "path": None, "seed": 3}
    requests = tuple(GenerationRequest(tuple(text), max_tokens=12) for text in (b"Hello", b"What is it?"))
    answers = [pool.run(Job(source, tp, requests=requests))[0] for tp in (1, 4)]
    assert [answer.error for answer in answers] == ["", ""]
    assert answers[0].tokens == answers[1].tokens
    assert len(set(answers[0].tokens[0])) > 3
