"""GPU types are found by the names that users and drivers give them, and have plausible figures."""

from __future__ import annotations

import pytest

from cluster.catalog.gpu_spec import GpuSpec
from cluster.catalog.gpus import all_gpu_types, find_gpu, match_product
from cluster.errors import UnknownName
from cluster.units import GIB, MIB

REQUIRED = {
    "A100-40GB",
    "A100-80GB",
    "H100",
    "H200",
    "B200",
    "GB200",
    "L4",
    "L40",
    "L40S",
    "A10",
    "A10G",
    "A30",
    "V100-32GB",
    "T4",
    "RTX-3090",
    "RTX-4090",
    "RTX-5090",
    "RTX-PRO-6000",
    "H100-NVL",
    "H100-PCIe",
    "H20",
    "H800",
    "A800-80GB",
    "L20",
    "A40",
    "RTX-A6000",
    "RTX-6000-Ada",
    "GH200",
    "B300",
    "GB300",
    "P100",
    "V100-16GB",
    "RTX-3080",
    "RTX-4080",
}


def test_the_required_types_are_there() -> None:
    assert set(all_gpu_types()) >= REQUIRED
    assert len(all_gpu_types()) >= 30


@pytest.mark.parametrize("kind", all_gpu_types())
def test_a_type_is_sane(kind: str) -> None:
    gpu = find_gpu(kind)
    assert gpu.type == kind
    assert gpu.sources and all(len(source) > 10 for source in gpu.sources)
    assert gpu.product_names
    assert 8 * GIB <= gpu.memory_bytes <= 320 * GIB
    assert gpu.memory_bytes % MIB == 0
    assert 1.5e11 <= gpu.memory_bandwidth_bytes_per_s <= 1e13
    assert {"fp32"} <= set(gpu.flops_per_s) <= {"fp32", "fp16", "bf16", "int8", "fp8", "fp4"}
    assert all(1e12 <= rate <= 2e16 for rate in gpu.flops_per_s.values())
    check_generation(gpu)
    check_links(gpu)


def check_generation(gpu: GpuSpec) -> None:
    """Dtypes arrive with a generation."""
    if gpu.vendor != "nvidia":
        return
    assert ("bf16" in gpu.flops_per_s) == (gpu.compute_capability >= (8, 0))
    assert ("fp8" in gpu.flops_per_s) == (gpu.compute_capability >= (8, 9))
    assert ("fp4" in gpu.flops_per_s) == (gpu.compute_capability >= (10, 0))


def check_links(gpu: GpuSpec) -> None:
    has_links = gpu.nvlink_topology != "none"
    assert (gpu.nvlink_bytes_per_s > 0) == has_links
    assert (gpu.nvlink_domain_gpus > 1) == has_links
    assert gpu.pcie_bytes_per_s in (16e9, 32e9, 64e9, 128e9)


@pytest.mark.parametrize(
    ("typed", "kind"),
    [
        ("a100-80gb", "A100-80GB"),
        ("A100 80GB", "A100-80GB"),
        ("NVIDIA A100-SXM4-80GB", "A100-80GB"),
        ("NVIDIA A100-SXM4-40GB", "A100-40GB"),
        ("NVIDIA A100 80GB PCIe", "A100-PCIe-80GB"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA GeForce RTX 4090", "RTX-4090"),
        ("rtx4090", "RTX-4090"),
        ("Tesla V100-SXM2-32GB", "V100-32GB"),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "RTX-PRO-6000"),
        ("Tesla T4", "T4"),
        ("l40s", "L40S"),
    ],
)
def test_names_are_forgiven(typed: str, kind: str) -> None:
    assert find_gpu(typed).type == kind


@pytest.mark.parametrize("typed", ["A100", "v100"])
def test_a_name_of_two_sizes_asks_which(typed: str) -> None:
    with pytest.raises(UnknownName) as caught:
        find_gpu(typed)
    assert f"{typed.upper()}-" in caught.value.hint


@pytest.mark.parametrize("typed", ["H1000", "", "   ", "gpu", "\x1b[31mL4", "ℌ100", "x" * 5000])
def test_an_unknown_name_is_one_clean_line(typed: str) -> None:
    with pytest.raises(UnknownName) as caught:
        find_gpu(typed)
    line = caught.value.one_line()
    assert "\x1b" not in line and "\n" not in line


@pytest.mark.parametrize(
    ("product", "mib", "kind"),
    [
        ("NVIDIA A100-SXM4-40GB", 40960, "A100-40GB"),
        ("NVIDIA H100 80GB HBM3", 81559, "H100"),
        ("NVIDIA H100 NVL", 95830, "H100-NVL"),
        ("NVIDIA H200", 143771, "H200"),
        ("Tesla V100-SXM2-16GB", 16160, "V100-16GB"),
        ("NVIDIA L4", 23034, "L4"),
        ("NVIDIA A10G", 23028, "A10G"),
        ("NVIDIA GeForce RTX 3080", 10240, "RTX-3080"),
        ("NVIDIA A100-SXM4-40GB MIG 3g.20gb", 20096, "A100-40GB"),
    ],
)
def test_drivers_names_are_matched(product: str, mib: int, kind: str) -> None:
    spec = match_product(product, mib * MIB)
    assert spec is not None and spec.type == kind


@pytest.mark.parametrize(
    ("product", "mib"),
    [("NVIDIA T400 4GB", 4096), ("Some Card", 8192), ("", 0), ("NVIDIA GeForce RTX 4090", 49140)],
)
def test_other_products_are_none(product: str, mib: int) -> None:
    assert match_product(product, mib * MIB) is None
