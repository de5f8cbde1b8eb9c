"""What an engine can run: ways to divide a model, architectures, GPUs, number formats."""

from dataclasses import dataclass, field

Capability = tuple[int, int]
"""Compute capability, (major, minor)."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Pipeline parallelism."""

    only_architectures: tuple[str, ...]
    """The only architectures that it divides into stages; empty: any but `except_architectures`."""
    except_architectures: tuple[str, ...]
    """Architectures that it does not divide into stages."""


@dataclass(frozen=True, slots=True)
class LayerSplit:
    """The one division of layers over pipeline stages that an engine makes by itself: as even as can be."""

    last_stage_spared: bool
    """What is left of an even split goes, one layer each, to the stages before the last one; else to the last
    stages."""
    variable: str
    """The environment variable that sets the layers of each stage instead, as in 10,11,11."""


@dataclass(frozen=True, slots=True)
class Parallelism:
    """How an engine divides a model."""

    uneven: bool
    """Heads, columns and vocabulary may be divided unevenly over TP ranks."""
    vocab_must_divide: bool
    """The padded vocabulary must be a multiple of TP."""
    tower_heads_must_divide: bool
    """A vision tower whose heads are divided must have a multiple of TP heads."""
    experts: bool
    """Expert parallelism."""
    attention_dp: bool
    """Data-parallel attention."""
    decode_context: bool
    """Decode context parallelism."""
    pipeline: Pipeline | None = None
    layer_split: LayerSplit | None = None
    """None: it takes any division."""


@dataclass(frozen=True, slots=True)
class Models:
    """Architectures that an engine runs."""

    architectures: tuple[str, ...]
    """The only ones; empty: any that the catalog can describe."""
    needs_architecture: bool
    """A model whose config names no architecture is refused where `architectures` is not empty."""


@dataclass(frozen=True, slots=True)
class NotYet:
    """What only a later version of the engine runs, with that version."""

    architectures: dict[str, str] = field(hash=False)
    rope_types: dict[str, str] = field(hash=False)
    """By the rope_type of a config's rotary scaling."""


@dataclass(frozen=True, slots=True)
class PublishedBuilds:
    """The builds that the engine's makers publish."""

    newest_capability: Capability
    """They have no kernels for GPUs newer than this."""


@dataclass(frozen=True, slots=True)
class Fp8Cache:
    """GPUs on which an FP8 KV cache runs."""

    min_capability: Capability
    architectures: dict[str, Capability] = field(hash=False)
    """Architecture -> its own least capability, in place of `min_capability`."""


@dataclass(frozen=True, slots=True)
class Kernels:
    """What an engine has kernels for."""

    min_capability: Capability
    architectures: dict[str, Capability] = field(hash=False)
    """Architecture -> least capability for which there is a kernel of its attention."""
    emulates_bf16: bool
    """bf16 also runs below compute capability 8.0, slowly."""
    falls_back_to_fp16: bool
    """A model in bf16 is computed in fp16 on a GPU without bf16, unless the user asks for bf16."""
    refuses_fp16: tuple[str, ...]
    """Architectures that are not computed in fp16, because they overflow."""
    published_builds: PublishedBuilds | None = None
    """None: no published build is known to lack a GPU."""
    fp8_cache: Fp8Cache | None = None
    """None: wherever the engine runs."""


@dataclass(frozen=True, slots=True)
class Quantization:
    """Quantization methods, by the name that a checkpoint gives (quant_method)."""

    min_capability: dict[str, Capability] = field(hash=False)
    """Method -> least capability. A method that is not listed does not run."""
    weight_only_capability: dict[str, dict[str, Capability]] = field(hash=False)
    """Method -> weight format -> least capability where activations stay in 16 bits."""
    activations_capability: dict[str, dict[str, Capability]] = field(hash=False)
    """Method -> weight format -> least capability where activations are quantized too."""
    experts_capability: dict[str, dict[str, Capability]] = field(hash=False)
    """Method -> format of the activations -> least capability for models with experts."""
    compute_dtypes: dict[str, tuple[str, ...]] = field(hash=False)
    """Method -> the only dtypes its kernels compute in; any where a method is not listed."""
    compute_dtypes_by_name: dict[str, tuple[str, ...]] = field(hash=False)
    """The same where the user asks for the method by name, which may rule out a newer kernel."""
    on_load: tuple[str, ...]
    """Methods with which the engine quantizes a 16-bit checkpoint while it loads."""
    undivided: tuple[str, ...]
    """Methods whose stored weights are not divided over TP ranks."""
    weight_only_step: int
    """With 16-bit activations, a rank's input features must be a multiple of this."""
