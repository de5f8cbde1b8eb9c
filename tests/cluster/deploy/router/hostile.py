"""A model folder with a chat template that misbehaves when a message asks for it."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

TEMPLATE = """{%- set text = messages[-1].content -%}
{%- if text == 'loops' -%}
{%- for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor -%}
{%- elif text == 'repeat' -%}{{ text * 3000000000 }}
{%- elif text == 'width' -%}{{ '%3000000000d' % 1 }}
{%- elif text == 'center' -%}{{ text.center(3000000000) }}
{%- elif text == 'power' -%}{% set many = 10 ** 9 %}{{ 10 ** many }}
{%- elif text == 'range' -%}{{ range(1000000000) | list }}
{%- elif text == 'grow' -%}{%- set box = namespace(text=text) -%}
{%- for a in range(64) %}{% set box.text = box.text ~ box.text %}{% endfor %}{{ box.text }}
{%- elif text == 'write' -%}{% for a in range(99999) %}{{ text * 1000 }}{% endfor -%}
{%- elif text == 'recurse' -%}{% macro again(n) %}{{ again(n + 1) }}{% endmacro %}{{ again(0) }}
{%- elif text == 'lipsum' -%}{{ lipsum(100000000) }}
{%- else -%}{{ text }}{%- endif -%}
"""
NEVER_COMPILED = "{{ 10 ** (10 ** 9) }}"
"""Jinja evaluates constant expressions at compile time."""
HARMS = ("loops", "repeat", "width", "center", "power", "range", "grow", "write", "recurse", "lipsum")


def write_model_folder(folder: Path, template: str = TEMPLATE) -> Path:
    """Write a byte-level tokenizer of 256 tokens and the template; return the folder."""
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    library = Tokenizer(
        models.BPE(vocab={char: number for number, char in enumerate(sorted(alphabet))}, merges=[])
    )
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    library.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": template}))
    return folder
