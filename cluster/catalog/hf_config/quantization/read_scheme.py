"""Read quantization_config into a storage scheme: formats by module, and the modules left unquantized."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cluster.catalog.hf_config.fields import Fields
from cluster.catalog.hf_config.quantization.formats import PLAIN
from cluster.catalog.hf_config.quantization.methods import find_reader, same_method
from cluster.catalog.hf_config.quantization.module_set import ModuleSet, match_cost
from cluster.catalog.hf_config.quantization.reading import Reading
from cluster.catalog.hf_config.quantization.requested import variant_reading
from cluster.catalog.hf_config.quantization.scheme import Scheme
from cluster.catalog.model_spec import Quantization
from cluster.errors import BadInput
from cluster.text import clean

# Field names under which methods list the modules they skip.
_LEFT_OUT = (
    "modules_to_not_convert",
    "ignored_layers",
    "ignore",
    "exclude_modules",
    "llm_int8_skip_modules",
    "ignored_modules",
)
# Real lists hold a few hundred characters. Patterns are matched against every module of every layer.
_MOST_PATTERN_CHARACTERS = 65_536
_NOTHING = (None, "", "auto", "none")


def read_scheme(fields: Fields, compute: str, wanted: str | None) -> Scheme:
    """Return how the weights are stored: as the checkpoint says, or as `wanted` for one in plain dtype.

    Raises BadInput for an unknown method, or one that contradicts the checkpoint's.
    """
    base = PLAIN[compute]
    section = _section(fields)
    if section is None:
        if wanted in _NOTHING:
            return Scheme(base)
        reading, left_out = variant_reading(str(wanted)), ModuleSet(())
    else:
        _refuse_too_many_patterns(section)
        reading, left_out = _read_method(section, fields), ModuleSet(_patterns(section))
        if wanted not in _NOTHING and not _agrees(str(wanted), reading):
            raise BadInput(
                f"--quantization {clean(str(wanted), 40)} does not apply: "
                f"the checkpoint is already quantized with {reading.method}",
                "Leave out --quantization, or use the unquantized model",
            )
    if reading.drops_left_out:
        left_out = ModuleSet(())
    return Scheme(
        base,
        rules=reading.rules,
        left_out=left_out,
        quantization=Quantization(
            reading.method,
            reading.rules[0].format if reading.rules else base,
            reading.activation,
            _cache_dtype(section) if section is not None else None,
        ),
        converts_head=reading.converts_head,
        notes=reading.notes,
    )


def _section(fields: Fields) -> Fields | None:
    """Merge quantization_config with the separate hf_quant_config that some exporters write."""
    own, exported = fields.section("quantization_config"), fields.section("hf_quant_config")
    if exported is not None and exported.section("quantization") is not None:
        exported = exported.section("quantization")
    sections = [section.values for section in (exported, own) if section is not None]
    if not sections:
        return None
    merged = {key: value for values in sections for key, value in values.items() if value is not None}
    return Fields(merged, f"{fields.where} quantization_config")


def _read_method(section: Fields, fields: Fields) -> Reading:
    method = section.text("quant_method", "modelopt" if section.has("quant_algo") else "").lower()
    if method == "fp8" and section.has("quant_algo") and not section.has("quantized_layers"):
        method = "modelopt"
    if not method and section.has("load_in_4bit"):
        method = "bitsandbytes"
    return find_reader(method)(section, fields)


def _agrees(wanted: str, reading: Reading) -> bool:
    names = {reading.method, *(rule.format.name for rule in reading.rules), *reading.also}
    return wanted in names or same_method(wanted) in names


def _refuse_too_many_patterns(section: Fields) -> None:
    """Raise BadInput where a config lists more patterns than can be compiled and matched in a moment."""
    length = 0
    pending: list[Any] = [section.values]
    while pending:
        value = pending.pop()
        if isinstance(value, Mapping):
            length += sum(match_cost(key) for key in value if isinstance(key, str))
            pending += value.values()
        elif isinstance(value, list):
            pending += value
        elif isinstance(value, str):
            length += match_cost(value)
    if length > _MOST_PATTERN_CHARACTERS:
        raise BadInput(
            f"{section.where} has {length:,} characters of module patterns",
            f"The limit is {_MOST_PATTERN_CHARACTERS:,}: list modules by name instead",
        )


def _patterns(section: Fields) -> list[str]:
    found: list[str] = []
    for name in _LEFT_OUT:
        values = section.raw(name)
        listed = values if isinstance(values, list) else []
        found += [item for item in listed if isinstance(item, str)]
    # GPTQ writes exclusions as keys: '-:.*attn.*'.
    dynamic = section.raw("dynamic")
    if isinstance(dynamic, dict):
        found += [f"re:{key[2:]}" for key in dynamic if isinstance(key, str) and key.startswith("-:")]
    return found


def _cache_dtype(section: Fields) -> str | None:
    """Return 'fp8' where the checkpoint carries scales for an 8-bit cache."""
    algorithm = section.raw("kv_cache_quant_algo") or section.raw("kv_cache_scheme")
    if isinstance(algorithm, dict):
        return "fp8" if algorithm.get("num_bits") == 8 else None
    return algorithm.lower() if algorithm in ("FP8", "fp8", "NVFP4") else None
