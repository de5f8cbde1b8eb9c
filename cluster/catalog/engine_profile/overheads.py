"""What an engine needs beside weights and cache: activations, vision towers, CUDA graphs, libraries."""

from dataclasses import dataclass

from cluster.catalog.engine_profile.by_generation import ByGeneration


@dataclass(frozen=True, slots=True)
class Activations:
    """The peak of the profiling run. Copies are elements of the compute dtype held at once."""

    mlp_copies: float
    """Copies of a dense layer's intermediate width, for each token."""
    residual_copies: float
    """Copies of the hidden size, for each token."""
    logits_copies: float
    """Float32 copies of max_num_seqs x vocabulary in the sampler."""
    keeps_expert_workspace: bool
    """The buffers of the expert kernels are still held while the sampler runs (not those of MXFP4)."""
    prompt_mask: bool
    """An attention mask with an entry for every token of a chunk and every token of the context."""
    state_kernel_bytes: int
    """What the kernels of state layers hold, whatever the batch."""


@dataclass(frozen=True, slots=True)
class EncoderCache:
    """What a vision encoder puts out, held beside the language model's run; for towers whose largest image is
    not known."""

    copies: float
    """Copies of the hidden size, for each token of the encoder's budget."""
    min_tokens: int
    """Least tokens of that budget; it is max_num_batched_tokens where that is more."""


@dataclass(frozen=True, slots=True)
class LargestItem:
    """A limit on the image with which an engine profiles."""

    tokens: int


@dataclass(frozen=True, slots=True)
class VisionProfile:
    """The profiling run of a vision tower on its largest input."""

    tower_copies: float
    """Copies of the tower's width for each token, on every rank."""
    tower_split_copies: float
    """The same, divided over the TP ranks that divide the tower's heads."""
    video_context_share: float
    """Share of the context left beside one image that a video may fill, 0 to 1."""
    profiles_videos: bool
    """The profiling run holds the frames of the longest video."""
    encoder_cache: EncoderCache | None = None
    largest_item: LargestItem | None = None
    """None: the model's own largest image."""


@dataclass(frozen=True, slots=True)
class CudaGraphs:
    """Captured CUDA graphs: a share of each layer for each captured batch size."""

    whole: bool
    """Decoding is captured whole."""
    in_pieces: bool
    """Prefill mixed with decoding is captured in pieces between attentions."""
    layer_bytes: int
    """Bytes of one layer in one capture."""
    layer_hidden_bytes: int
    """More bytes for each unit of the hidden size."""


@dataclass(frozen=True, slots=True)
class WithoutSwitch:
    """All-reduce among GPUs that no NVLink switch joins, in place of all figures for those that one joins."""

    bytes: int


@dataclass(frozen=True, slots=True)
class AllReduce:
    """Buffers of a tensor-parallel group on each rank."""

    base_bytes: int
    """At TP=2."""
    per_further_rank_bytes: int
    """For each rank beyond two."""
    fused_bytes: ByGeneration
    """Workspace of an all-reduce that is fused with the normalization."""
    switch_bytes: ByGeneration
    """NCCL's buffers for reductions inside the NVLink switch, among more than two ranks."""
    without_switch: WithoutSwitch | None = None
    """None: the figures above hold for every link, but for reductions inside a switch."""


@dataclass(frozen=True, slots=True)
class NonTorch:
    """Memory that torch does not allocate."""

    context_bytes: ByGeneration
    """The CUDA context and libraries, where the engine counts them in."""
    pipeline_bytes: int
    """In place of the context on a pipeline's rank without TP."""
    all_reduce: AllReduce | None = None
    """None: not known, and counted as nothing."""
