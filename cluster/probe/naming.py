"""From the vendor's product names to catalog types: done by who receives a node, never on the node."""

from __future__ import annotations

from cluster.catalog.gpus import match_product
from cluster.inventory import Gpu, Node


def with_catalog_types(node: Node) -> Node:
    """Name each GPU as the catalog does; one that the catalog does not know keeps its product name."""
    return node.model_copy(update={"gpus": tuple(_named(gpu) for gpu in node.gpus)})


def _named(gpu: Gpu) -> Gpu:
    # The size of unified memory is the machine's, and no mark of the product.
    spec = match_product(gpu.type, None if gpu.unified_memory else gpu.memory_total_bytes)
    return gpu if spec is None else gpu.model_copy(update={"type": spec.type})
