"""Download a config from the Hugging Face hub, if huggingface_hub is installed and the hub is reachable."""

from __future__ import annotations

import os
import re
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

from cluster.catalog.models.names import unknown
from cluster.errors import UnknownName
from cluster.packages import install_command, is_installed
from cluster.text import clean

_HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}$")
_CONNECT_TIMEOUT_S = 3.0


def is_hub_id(name: str) -> bool:
    """Whether `name` has the form organization/model."""
    return bool(_HUB_ID.match(name))


def fetch_config(name: str) -> Path:
    """Return the path of the hub's config.json of `name`, from its cache or the network.

    Raises UnknownName if the extra is missing, the hub does not answer, or it has no such model.
    """
    if not is_installed("huggingface_hub"):
        command = install_command(sys.executable, ["huggingface_hub"])
        raise unknown(name, f"To look up other hub ids: {command}")
    cached = _from_cache(name)
    if cached is not None:
        return cached
    _check_reachable(name)
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(name, "config.json", etag_timeout=_CONNECT_TIMEOUT_S))
    except (OSError, ValueError) as error:
        reason = clean(str(error).splitlines()[0], 160) if str(error) else type(error).__name__
        raise UnknownName(
            f"Cannot get the config of '{clean(name, 120)}' from the hub: {reason}", unknown(name).hint
        ) from None


def _from_cache(name: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, "config.json")
    return Path(found) if isinstance(found, str) else None


def _check_reachable(name: str) -> None:
    """Raise within seconds if the hub is not reachable: its own client retries for half a minute."""
    from huggingface_hub import constants

    host = urlsplit(constants.ENDPOINT).hostname or "huggingface.co"
    offline = bool(constants.HF_HUB_OFFLINE)
    if not offline and any(
        os.environ.get(key) for key in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
    ):
        return
    try:
        if offline:
            raise OSError
        socket.create_connection((host, 443), timeout=_CONNECT_TIMEOUT_S).close()
    except OSError:
        why = "HF_HUB_OFFLINE is set" if offline else f"{host} is not reachable"
        raise UnknownName(
            f"Model '{clean(name, 120)}' is not in the catalog and {why}",
            unknown(name, "Without the hub, give a folder or a config.json").hint,
        ) from None
