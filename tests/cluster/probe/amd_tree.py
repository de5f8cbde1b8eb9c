"""A folder that looks like / on a machine with AMD GPUs, in the kernel's own formats."""

from __future__ import annotations

from pathlib import Path

GIB = 1024**3
MI300X_BYTES = 196_592 * 1024**2
XGMI, PCIE = 11, 2
MI300X = "AMD Instinct MI300X OAM"


def write(path: Path, text: object) -> None:
    """Write a file of /sys, its folder too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")


class AmdTree:
    """Builds the tree: one CPU node of kfd, then GPUs that are all joined over XGMI."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.kfd = root / "sys/class/kfd/kfd"
        self._count = 0
        self._properties(0, "0", cpu_cores_count=96, simd_count=0, vendor_id=0)

    def add(
        self,
        count: int = 1,
        *,
        memory_bytes: int = MI300X_BYTES,
        product: str | None = "AMD Instinct MI300X OAM",
    ) -> AmdTree:
        """Add GPUs like an MI300X at bus numbers 0x10, 0x20 ..."""
        for _ in range(count):
            self._add_gpu(self._count, memory_bytes, product)
            self._count += 1
        for here in range(self._count):
            for number, there in enumerate(other for other in range(self._count) if other != here):
                self.link(here, there, number + 1)
        return self

    def _add_gpu(self, index: int, memory_bytes: int, product: str | None) -> None:
        self._properties(
            index + 1,
            str(1000 + index),
            simd_count=1216,
            vendor_id=0x1002,
            device_id=0x74A1,
            location_id=(0x10 * (index + 1)) << 8,
            domain=0,
            unique_id=0xABC0 + index,
            gfx_target_version=90402,
        )
        device = self.device(index)
        for name, value in {
            "vendor": "0x1002",
            "device": "0x74a1",
            "revision": "0x00",
            "mem_info_vram_total": memory_bytes,
            "mem_info_vram_used": 300 * 1024**2,
            "gpu_busy_percent": 42,
            "mem_busy_percent": 7,
            "current_link_speed": "32.0 GT/s PCIe",
            "max_link_speed": "32.0 GT/s PCIe",
            "current_link_width": 16,
            "max_link_width": 16,
            "pcie_replay_count": 3,
            "numa_node": index // 4,
            "pp_dpm_sclk": "0: 132Mhz *\n1: 2100Mhz",
            "ras/umc_err_count": "ue: 0\nce: 2",
            "ras/gpu_vram_bad_pages": "0x00000001 : 0x00001000 : R\n0x00000002 : 0x00001000 : P",
            "hwmon/hwmon7/temp2_label": "junction",
            "hwmon/hwmon7/temp2_input": 61000,
            "hwmon/hwmon7/temp2_crit": 100000,
            "hwmon/hwmon7/temp2_emergency": 105000,
            "hwmon/hwmon7/temp3_label": "mem",
            "hwmon/hwmon7/temp3_input": 52000,
            "hwmon/hwmon7/power1_input": 312000000,
            "hwmon/hwmon7/power1_cap": 750000000,
            "hwmon/hwmon7/freq1_input": 1950000000,
            **({"product_name": product} if product else {}),
        }.items():
            write(device / name, value)

    def device(self, index: int) -> Path:
        """Return the folder of a GPU's PCI device."""
        return self.root / f"sys/bus/pci/devices/0000:{0x10 * (index + 1):02x}:00.0"

    def partition(self, index: int, mode: str = "CPX", parts: int = 8) -> None:
        """Cut a GPU into parts: each is a kfd node at the same PCI address."""
        write(self.device(index) / "current_compute_partition", mode)
        for part in range(1, parts):
            location = ((0x10 * (index + 1)) << 8) | part << 28
            self._properties(
                100 * (index + 1) + part,
                str(5000 + part),
                simd_count=152,
                vendor_id=0x1002,
                location_id=location,
                domain=0,
            )

    def link(self, here: int, there: int, number: int, kind: int = XGMI) -> None:
        """Put a link of kfd between two GPUs."""
        properties = {"type": kind, "node_from": here + 1, "node_to": there + 1, "max_bandwidth": 64000}
        text = "\n".join(f"{name} {value}" for name, value in properties.items())
        write(self.kfd / f"topology/nodes/{here + 1}/io_links/{number}/properties", text)

    def process(self, pid: int, held: dict[int, int], program: str = "python3") -> None:
        """Let a process hold bytes of memory by GPU."""
        for index in range(self._count):
            write(self.kfd / f"proc/{pid}/vram_{1000 + index}", held.get(index, 0))
        write(self.root / f"proc/{pid}/cmdline", f"/usr/bin/{program}\0-m\0x")
        namespace = self.root / "proc/self/ns/pid"
        if not namespace.is_symlink():
            namespace.parent.mkdir(parents=True, exist_ok=True)
            namespace.symlink_to("pid:[4026531836]")

    def _properties(self, node: int, gpu_id: str, **values: int) -> None:
        folder = self.kfd / f"topology/nodes/{node}"
        write(folder / "properties", "\n".join(f"{name} {value}" for name, value in values.items()))
        write(folder / "gpu_id", gpu_id)
