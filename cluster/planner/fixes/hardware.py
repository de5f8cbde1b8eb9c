"""Other engines, versions and weights; more GPUs."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.catalog.engine_catalog import engine_names, engine_versions
from cluster.planner.fixes.fix import Fix, MoreGpus, OtherWeights
from cluster.planner.fixes.larger_clusters import larger_clusters, largest_node
from cluster.planner.fixes.trial import LayoutTrial
from cluster.planner.search.context import Context
from cluster.planner.variants import FULL_SIZE, VARIANTS, Variant, smaller_variants, stored_as

_MOST_GPUS_ADDED = 1024
"""More than this are not tried: a cluster of them would take longer to describe than to plan."""


def other_version(context: Context) -> Iterator[Fix]:
    """Yield newer versions of the engine, newest first, if an old one was requested."""
    if context.request.engine_version is None:
        return
    for version in engine_versions(context.engine.name):
        if version != context.engine.version:
            yield Fix.of(engine_version=version)


def other_engine(context: Context) -> Iterator[Fix]:
    """Other engines, each at its newest version."""
    for name in engine_names():
        if name != context.engine.name:
            yield Fix.of(engine=name, engine_version=None)


def smaller_weights(context: Context) -> Iterator[Fix]:
    """Yield quantized variants smaller than the current weights, largest first."""
    for variant in smaller_variants(context.model):
        yield _stored_as(context, variant)


def other_weights(context: Context) -> Iterator[Fix]:
    """The variants of the model, 16-bit ones first."""
    for variant in (FULL_SIZE, *VARIANTS):
        yield _stored_as(context, variant)


def _stored_as(context: Context, variant: Variant) -> Fix:
    size = stored_as(context.model, variant).weights_bytes
    return Fix(weights=OtherWeights(variant, size, context.model.weights_bytes))


def larger_cluster(context: Context) -> Iterator[Fix]:
    """Yield clusters with more GPUs of the type in the largest node, the smallest addition first."""
    for cluster in larger_clusters(context.cluster):
        yield Fix(hardware=cluster)


def more_gpus(trial: LayoutTrial) -> Iterator[Fix]:
    """Yield GPUs for the replicas that do not fit, if some do."""
    node, held = largest_node(trial.context.cluster), trial.held_replicas()
    missing = (trial.replicas - held) * trial.form.gpus
    if node is None or not held or not 0 < missing <= _MOST_GPUS_ADDED:
        return
    fix = trial.attempt(Fix(hardware=MoreGpus(missing, node.gpus[0].type)))
    if fix is not None:
        yield fix
