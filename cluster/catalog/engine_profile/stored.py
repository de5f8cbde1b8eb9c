"""What an engine stores on a GPU for as long as it runs: weights and the KV cache."""

from dataclasses import dataclass
from typing import Literal

from cluster.catalog.engine_profile.by_generation import ByGeneration

LatentProjections = Literal["as_stored", "multiplied", "copied_in_16_bits"]


@dataclass(frozen=True, slots=True)
class ExpertPadding:
    """Multiples to which kernels pad MXFP4 experts."""

    hidden: int
    """Of the hidden side, in elements."""
    width: ByGeneration
    """Of the intermediate side on each rank, in elements."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What weights take beside the bytes of the checkpoint."""

    vocab_padding: int
    """The vocabulary is padded to a multiple of this before it is divided over TP ranks."""
    rounds_allocations: bool
    """The engine's own figure of its weights includes what the allocator rounds up."""
    counts_rotary_tables: bool
    """Precomputed rotary tables count among the weights."""
    extra_bytes: int
    """Further bytes on each rank, whatever the model."""
    latent_projections: LatentProjections
    """What latent attention keeps of its up-projection: nothing more, its products with the query's and the
    output's projection, or a 16-bit copy beside a quantized one."""
    wide_copies_while_quantizing: float
    """Copies of all weights in 16 bits that are held while the engine quantizes them on load; 0: it quantizes
    layer by layer."""
    mxfp4_padding: ExpertPadding | None = None
    """None: MXFP4 experts are stored as they are, and their width must divide."""


@dataclass(frozen=True, slots=True)
class FullLatents:
    """Latent attention without a kernel for it: keys and values are cached in full for every head."""

    head_dim: int
    """The size to which heads are padded, in elements."""


@dataclass(frozen=True, slots=True)
class PackedLatents:
    """The engine's own packed form of the latents that a sparse indexer reads."""

    entry_bytes: int
    """Bytes of one token in one layer."""
    architectures: tuple[str, ...]
    """Architectures that get it unless the user asks for another cache dtype; the others only with FP8."""


@dataclass(frozen=True, slots=True)
class Cache:
    """How an engine lays out its KV cache."""

    block_tokens: int
    """Tokens of one block."""
    contiguous: bool
    """Each sequence takes one slot of max_model_len, in place of blocks."""
    frees_beyond_window: bool
    """Layers with a sliding window or chunks keep no more than that; else they keep every token."""
    follows_checkpoint_dtype: bool
    """The cache takes the dtype that the checkpoint states for it."""
    fp8_with_quantization: bool
    """Asking for FP8 or NVFP4 weights by name gives an FP8 cache too."""
    latent_alignment_bytes: int
    """A layer's latent of one token is padded to a multiple of this."""
    latent_page_tokens: int
    """With latents, a page that is stretched to hold a state has a multiple of this many tokens."""
    state_blocks: int
    """Blocks that a sequence takes for each group of state layers."""
    compressor_state_factor: float
    """Bytes kept for each byte of the states with which a layer compresses tokens that are being computed;
    0: none are kept."""
    capacity_in_requests: bool
    """Where layers differ, the engine states its capacity as requests of max_model_len times that length."""
    limits_requests_to_cache: bool
    """With less cache than one request of max_model_len the engine starts, and refuses longer requests."""
    full_latents: FullLatents | None = None
    """None: it has a kernel for latents."""
    packed_latents: PackedLatents | None = None
    """None: sparse latents are cached like any other."""
