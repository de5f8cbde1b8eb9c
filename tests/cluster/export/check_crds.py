"""Compare the strict schemas and the exports with Kubernetes' own definitions of the resources.

    python -m tests.cluster.export.check_crds FOLDER

FOLDER holds crd-lws.yaml and crd-rayservice.yaml as their projects publish them, which are too large to keep
here.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from cluster.errors import BadInput
from tests.cluster.export.cases import CASES, exported
from tests.cluster.export.strict import documents, schema

Json = dict[str, Any]

FILES = {"LeaderWorkerSet": "crd-lws.yaml", "RayService": "crd-rayservice.yaml"}
OF_EVERY_RESOURCE = ("apiVersion", "kind", "metadata")


def definition(folder: Path, kind: str) -> Json:
    """Return the resource's v1 schema."""
    resource = yaml.safe_load((folder / FILES[kind]).read_text(encoding="utf-8"))
    versions = {version["name"]: version for version in resource["spec"]["versions"]}
    found: Json = versions["v1"]["schema"]["openAPIV3Schema"]
    return found


def made_strict(node: Any) -> Any:
    """Return a schema that refuses fields it does not name, as the API server's strict validation does."""
    if isinstance(node, list):
        return [made_strict(one) for one in node]
    if not isinstance(node, dict):
        return node
    made = {key: made_strict(value) for key, value in node.items()}
    if node.get("x-kubernetes-int-or-string"):
        made.pop("type", None)
    if isinstance(node.get("properties"), dict) and "additionalProperties" not in node:
        made["additionalProperties"] = bool(node.get("x-kubernetes-preserve-unknown-fields"))
    return made


def differences(small: Json, full: Json, root: Json, path: str) -> Iterator[str]:
    """Yield what the small schema takes and the full one does not."""
    if "$ref" in small:
        small = root["$defs"][small["$ref"].rpartition("/")[2]]
    kind, other = small.get("type"), full.get("type")
    if kind and other and kind != other:
        yield f"{path}: {kind} here, {other} there"
    missing = set(full.get("required", ())) - set(small.get("required", ()))
    yield from (f"{path}.{name}: required there" for name in sorted(missing) if path)
    for name, value in small.get("properties", {}).items():
        there = full.get("properties", {}).get(name)
        if there is None and isinstance(full.get("additionalProperties"), dict):
            there = full["additionalProperties"]
        if there is None:
            yield f"{path}.{name}: unknown there"
        elif path or name not in OF_EVERY_RESOURCE:
            yield from differences(value, there, root, f"{path}.{name}")
    if "items" in small:
        yield from differences(small["items"], full["items"], root, f"{path}[]")
    allowed = full.get("enum")
    yield from (
        f"{path}: {one} unknown there" for one in small.get("enum", ()) if allowed and one not in allowed
    )


def refused_typos(document: Json, validator: jsonschema.Draft202012Validator) -> Iterator[str]:
    """Yield fields of the spec that may be misspelled unnoticed."""
    for name in document["spec"]:
        wrong = copy.deepcopy(document)
        wrong["spec"][f"{name}z"] = wrong["spec"].pop(name)
        if validator.is_valid(wrong):
            yield f"{document['kind']}.spec.{name}z passes"


def check_kind(folder: Path, kind: str, format_name: str) -> list[str]:
    """Return what is wrong with the schema of a kind, and with its exports."""
    full = definition(folder, kind)
    wrong = list(differences(schema(kind), full, schema(kind), ""))
    validator = jsonschema.Draft202012Validator(made_strict(full))
    for name in CASES:
        try:
            text = exported(name, format_name)
        except BadInput:
            continue
        for document in documents(text):
            if document["kind"] == kind:
                wrong += [
                    f"{name}: {error.json_path}: {error.message}" for error in validator.iter_errors(document)
                ]
                wrong += refused_typos(document, validator)
    return wrong


def main(folder: str) -> int:
    """Print what differs; 1 if anything does."""
    wrong = [
        *check_kind(Path(folder), "LeaderWorkerSet", "lws"),
        *check_kind(Path(folder), "RayService", "kuberay"),
    ]
    print("\n".join(wrong) or f"{len(CASES)} layouts and both schemas agree with the definitions in {folder}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
