"""Third-party packages: what to install where one is missing. Standard library only."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Sequence

from cluster.errors import SystemFailed

_DISTRIBUTIONS = {"pynvml": "nvidia-ml-py", "re2": "google-re2"}
"""Import name -> the name that pip knows, where they differ by more than dashes."""
_NEEDED_FOR = {
    "textual": "the app",
    "rich": "the app",
    "ray": "deploying and for reading a Ray cluster",
    "torch": "the built-in engine",
    "safetensors": "loading a checkpoint",
    "tokenizers": "a checkpoint's tokenizer",
    "pynvml": "reading GPUs",
    "re2": "models whose quantization lists module patterns",
    "aiohttp": "load tests",
    "h11": "a deployment's router",
    "starlette": "a deployment's router",
    "uvicorn": "a deployment's router",
    "prometheus_client": "a deployment's router",
}


def is_installed(package: str) -> bool:
    """Whether a top-level package can be imported, without importing it; a mere folder does not count."""
    try:
        spec = importlib.util.find_spec(package)
    except ValueError:
        # It is imported already, and was made by hand.
        return True
    return spec is not None and spec.origin is not None


def require(package: str) -> None:
    """Raise SystemFailed, with the command that installs it, unless a top-level package can be imported."""
    if not is_installed(package):
        raise missing(package)


def missing(package: str) -> SystemFailed:
    """Return the error for a package that is not installed."""
    purpose = f" (needed for {_NEEDED_FOR[package]})" if package in _NEEDED_FOR else ""
    return SystemFailed(
        f"the Python package {distribution_name(package)} is not installed{purpose}",
        f"Run: {install_command(sys.executable, [package])}",
    )


def import_failed(error: ImportError) -> SystemFailed:
    """Return the error for a third-party package that is not installed, or that cannot be imported."""
    package = (error.name or "").partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and not is_installed(package):
        return missing(package)
    again = install_command(sys.executable, [package], "--force-reinstall ")
    return SystemFailed(
        f"the Python package {distribution_name(package)} cannot be imported: {error}", f"Run: {again}"
    )


def install_command(python: str, packages: Sequence[str], options: str = "") -> str:
    """Return the command that installs packages, named as they are imported, into the Python at `python`."""
    wanted = " ".join(f"'{requirement(package)}'" for package in packages)
    return f"{python} -m pip install {options}{wanted}"


def requirement(package: str) -> str:
    """Return a package with the versions that clusterview takes, as pip reads it: 'torch>=2.6,<2.14'."""
    # Takes longer to import than a plan takes to make.
    import importlib.metadata

    name = distribution_name(package)
    try:
        required = importlib.metadata.requires("clusterview") or []
    except importlib.metadata.PackageNotFoundError:
        return name
    for line in required:
        match = re.match(r"([A-Za-z0-9_.-]+)(\[[^]]*\])?([^;]*)", line)
        if match and match[1].lower().replace("_", "-") == name:
            return f"{match[1]}{match[2] or ''}{match[3].strip()}"
    return name


def distribution_name(package: str) -> str:
    """Return the name by which pip knows a top-level package."""
    return _DISTRIBUTIONS.get(package, package.replace("_", "-"))
