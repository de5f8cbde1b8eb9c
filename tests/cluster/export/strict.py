"""Manifests checked against the strict schemas beside this file."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

Json = dict[str, Any]

FOLDER = Path(__file__).parent / "schemas"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@cache
def schema(name: str) -> Json:
    """Return a schema: 'compose', 'serve', or a kind of the Kubernetes file."""
    if (FOLDER / f"{name}.yaml").exists():
        found: Json = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
        return found
    definitions = yaml.safe_load((FOLDER / "kubernetes.yaml").read_text(encoding="utf-8"))["$defs"]
    return {"$ref": f"#/$defs/{name}", "$defs": definitions}


def check(name: str, document: Json) -> None:
    """Raise jsonschema.ValidationError for a field that the schema does not have, or a wrong value."""
    jsonschema.Draft202012Validator(schema(name)).validate(document)


def documents(text: str) -> list[Json]:
    """Return the documents of an export."""
    return list(yaml.load_all(text, _LOADER))


def check_text(format_name: str, text: str) -> list[Json]:
    """Check all documents of an export, and return them."""
    found = documents(text)
    names = {"compose": "compose", "ray-serve": "serve"}
    for document in found:
        check(names.get(format_name) or document["kind"], document)
        if "serveConfigV2" in document.get("spec", {}):
            check("serve", documents(document["spec"]["serveConfigV2"])[0])
    return found
