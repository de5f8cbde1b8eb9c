"""What the planner needs to know about one engine at one version."""

from dataclasses import dataclass

from cluster.catalog.engine_profile.overheads import Activations, CudaGraphs, NonTorch, VisionProfile
from cluster.catalog.engine_profile.start import MemoryBudget, StartDefaults
from cluster.catalog.engine_profile.stored import Cache, Weights
from cluster.catalog.engine_profile.support import Kernels, Models, NotYet, Parallelism, Quantization


@dataclass(frozen=True, slots=True)
class EngineProfile:
    """An engine at a version. Each table is one of its file's, where every value has its source."""

    name: str
    version: str
    """The version that is planned for, as the user wrote it."""
    newest: str
    """The newest version that the engine's file describes."""
    not_yet: NotYet
    budget: MemoryBudget
    defaults: StartDefaults
    parallelism: Parallelism
    models: Models
    kernels: Kernels
    quantization: Quantization
    weights: Weights
    cache: Cache
    activations: Activations
    non_torch: NonTorch
    vision: VisionProfile | None = None
    """None: no profiling run of vision towers is known; what a tower puts out is counted, its peak is not."""
    cuda_graphs: CudaGraphs | None = None
    """None: the engine captures none, or what they take is not known."""
