"""What a server counts, and its /metrics in vLLM's names or SGLang's."""

from __future__ import annotations

import time
from dataclasses import dataclass

_VLLM = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{{{labels}}} {running:.1f}
# HELP vllm:num_requests_waiting Number of requests waiting to be processed.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{{{labels}}} {waiting:.1f}
# TYPE vllm:num_requests_waiting_by_reason gauge
vllm:num_requests_waiting_by_reason{{{labels},reason="capacity"}} {waiting:.1f}
# HELP vllm:kv_cache_usage_perc KV-cache usage. 1 means 100 percent usage.
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{{{labels}}} {kv_use}
# TYPE vllm:prefix_cache_queries_total counter
vllm:prefix_cache_queries_total{{{labels}}} {prompt_tokens:.1f}
# TYPE vllm:prefix_cache_hits_total counter
vllm:prefix_cache_hits_total{{{labels}}} {prefix_hits:.1f}
# TYPE vllm:num_preemptions_total counter
vllm:num_preemptions_total{{{labels}}} 0.0
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{{{labels}}} {prompt_tokens:.1f}
vllm:prompt_tokens_created{{{labels}}} {started_s}
# TYPE vllm:generation_tokens_total counter
vllm:generation_tokens_total{{{labels}}} {output_tokens:.1f}
# TYPE vllm:request_success_total counter
vllm:request_success_total{{{labels_1}finished_reason="stop",{labels_2}}} 0.0
vllm:request_success_total{{{labels_1}finished_reason="length",{labels_2}}} {requests:.1f}
vllm:request_success_total{{{labels_1}finished_reason="abort",{labels_2}}} {aborted:.1f}
# TYPE vllm:time_to_first_token_seconds histogram
vllm:time_to_first_token_seconds_bucket{{{labels_1}le="+Inf",{labels_2}}} {ttft_count:.1f}
vllm:time_to_first_token_seconds_count{{{labels}}} {ttft_count:.1f}
vllm:time_to_first_token_seconds_sum{{{labels}}} {ttft_sum_s}
# TYPE vllm:inter_token_latency_seconds histogram
vllm:inter_token_latency_seconds_bucket{{{labels_1}le="+Inf",{labels_2}}} {itl_count:.1f}
vllm:inter_token_latency_seconds_count{{{labels}}} {itl_count:.1f}
vllm:inter_token_latency_seconds_sum{{{labels}}} {itl_sum_s}
# TYPE vllm:request_time_per_output_token_seconds histogram
vllm:request_time_per_output_token_seconds_count{{{labels}}} {ttft_count:.1f}
vllm:request_time_per_output_token_seconds_sum{{{labels}}} {tpot_sum_s}
# TYPE vllm:e2e_request_latency_seconds histogram
vllm:e2e_request_latency_seconds_count{{{labels}}} {requests:.1f}
vllm:e2e_request_latency_seconds_sum{{{labels}}} {e2e_sum_s}
"""
_SGLANG = """\
# TYPE sglang:num_running_reqs gauge
sglang:num_running_reqs{{{labels}}} {running:.1f}
# TYPE sglang:num_queue_reqs gauge
sglang:num_queue_reqs{{{labels}}} {waiting:.1f}
# TYPE sglang:token_usage gauge
sglang:token_usage{{{labels}}} {kv_use}
# TYPE sglang:cache_hit_rate gauge
sglang:cache_hit_rate{{{labels}}} 0.0
# TYPE sglang:prompt_tokens_total counter
sglang:prompt_tokens_total{{{labels}}} {prompt_tokens:.1f}
# TYPE sglang:generation_tokens_total counter
sglang:generation_tokens_total{{{labels}}} {output_tokens:.1f}
# TYPE sglang:num_requests_total counter
sglang:num_requests_total{{{labels}}} {requests:.1f}
# TYPE sglang:time_to_first_token_seconds histogram
sglang:time_to_first_token_seconds_sum{{{labels}}} {ttft_sum_s}
sglang:time_to_first_token_seconds_count{{{labels}}} {ttft_count:.1f}
# TYPE sglang:inter_token_latency_seconds histogram
sglang:inter_token_latency_seconds_sum{{{labels}}} {itl_sum_s}
sglang:inter_token_latency_seconds_count{{{labels}}} {itl_count:.1f}
"""


@dataclass
class Counters:
    """Of all requests since the start."""

    kv_tokens: int
    """Capacity of the cache."""
    running: int = 0
    tokens_held: int = 0
    requests: int = 0
    aborted: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    ttft_sum_s: float = 0.0
    ttft_count: int = 0
    itl_sum_s: float = 0.0
    itl_count: int = 0
    tpot_sum_s: float = 0.0
    e2e_sum_s: float = 0.0
    started_s: float = 0.0

    def __post_init__(self) -> None:
        self.started_s = time.time()

    def count_first(self, num_prompt: int, ttft_s: float) -> None:
        """Count a request's first token."""
        self.prompt_tokens += num_prompt
        self.ttft_sum_s += ttft_s
        self.ttft_count += 1

    def count_end(self, e2e_s: float, decode_s: float, num_gaps: int) -> None:
        """Count a request that is complete: `decode_s` lie between its first token and its last."""
        self.requests += 1
        self.e2e_sum_s += e2e_s
        self.itl_sum_s += decode_s
        self.itl_count += num_gaps
        self.tpot_sum_s += decode_s / max(1, num_gaps)

    def text(self, engine: str, model: str, waiting: int) -> str:
        """Return the exposition in the names of `engine`."""
        first, second = ('engine="0",', f'model_name="{model}"')
        values = {**vars(self), "kv_use": self.tokens_held / max(1, self.kv_tokens), "waiting": waiting}
        return (_VLLM if engine == "vllm" else _SGLANG).format(
            labels=first + second, labels_1=first, labels_2=second, prefix_hits=0, **values
        )
