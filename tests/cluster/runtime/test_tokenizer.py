"""The folder's own tokenizer, or bytes without one; streaming never splits a character."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import BadInput
from cluster.runtime.chat_template import ChatMessage
from cluster.runtime.tokenizer import ByteTokenizer, StreamDecoder, Tokenizer, load_tokenizer

TALK = (ChatMessage("system", "Be brief."), ChatMessage("user", "Hi"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A byte-level BPE trained on a few words, as current models have."""
    from tokenizers import Tokenizer as Library
    from tokenizers import decoders, models, pre_tokenizers, trainers

    library = Library(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet)
    library.train_from_iterator(["hello world, hello there"] * 3, trainer)
    library.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def write_settings(folder: Path, **settings: object) -> None:
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


@given(st.text(st.characters(min_codepoint=32, exclude_categories=["C", "Z"])))
def test_bytes_come_back_as_the_text(text: str) -> None:
    tokenizer = ByteTokenizer(vocab_size=320)
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(st.lists(st.integers(0, 319)))
def test_any_token_of_a_dummy_model_can_be_printed(token_ids: list[int]) -> None:
    text = ByteTokenizer(vocab_size=320).decode(token_ids)
    assert all(char.isprintable() or char == "\n" for char in text)


def test_a_small_vocabulary_holds_every_id() -> None:
    assert max(ByteTokenizer(vocab_size=10).encode("zebra")) < 10


def test_plain_chat_names_the_roles() -> None:
    tokenizer = load_tokenizer(None, 320)
    assert tokenizer.decode(tokenizer.encode_chat(TALK)) == "system: Be brief.\nuser: Hi\nassistant: "


def test_the_folders_own_tokenizer_is_used(folder: Path) -> None:
    tokenizer = load_tokenizer(str(folder), 300)
    ids = tokenizer.encode("hello wörld")
    assert len(ids) < len("hello wörld".encode())
    assert tokenizer.decode(ids) == "hello wörld"


@pytest.mark.parametrize("as_list", [False, True])
def test_the_models_own_chat_template(folder: Path, as_list: bool) -> None:
    template = (
        "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m['content'] }}{% endfor %}"
        "{% if add_generation_prompt %}[assistant]{% endif %}"
    )
    chat = [{"name": "default", "template": template}] if as_list else template
    write_settings(folder, chat_template=chat, bos_token={"content": "<s>"})
    tokenizer = load_tokenizer(str(folder), 300)
    ids = tokenizer.encode_chat(TALK)
    assert tokenizer.decode(ids) == "[system]Be brief.[user]Hi[assistant]"
    assert ids[0] == 0


@pytest.mark.parametrize(
    "template",
    [
        "{{ raise_exception('no system role') }}",
        "{% for %}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{% for i in range(10000000) %}x{% endfor %}",
        "{{ 1 / 0 }}",
    ],
)
def test_a_template_that_fails_or_tries_to_escape_is_bad_input(folder: Path, template: str) -> None:
    write_settings(folder, chat_template=template)
    with pytest.raises(BadInput, match="chat template"):
        load_tokenizer(str(folder), 300).encode_chat(TALK)


@pytest.mark.parametrize("name", ["chat_template.jinja", "tokenizer_config.json"])
def test_a_template_file_that_is_too_large_is_bad_input(folder: Path, name: str) -> None:
    with (folder / name).open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(BadInput, match=f"{name} is larger than 32 MiB"):
        load_tokenizer(str(folder), 300)


def test_a_template_that_writes_without_end_is_bad_input(folder: Path) -> None:
    write_settings(folder, chat_template="{% for a in range(99999) %}{{ '%1000d' % a }}{% endfor %}")
    with pytest.raises(BadInput, match="writes more than 16777216 characters"):
        load_tokenizer(str(folder), 300).encode_chat(TALK)


def test_invalid_unicode_is_still_text(folder: Path) -> None:
    for path in (None, str(folder)):
        tokenizer = load_tokenizer(path, 320)
        assert tokenizer.decode(tokenizer.encode("a\ud800b")) == "a?b"
        assert tokenizer.encode_chat([ChatMessage("user", "\ud800")])


def test_a_damaged_tokenizer_is_bad_input(folder: Path) -> None:
    file = folder / "tokenizer.json"
    file.write_text(file.read_text()[:200])
    with pytest.raises(BadInput, match=r"tokenizer\.json cannot be read"):
        load_tokenizer(str(folder), 300)


def test_a_tokenizer_file_has_a_size_limit(folder: Path) -> None:
    with (folder / "tokenizer.json").open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(BadInput, match=r"tokenizer\.json is too large: 1\.0 GiB"):
        load_tokenizer(str(folder), 300)


@pytest.mark.parametrize("text", ["hello 🌍, héllo wörld", "日本語 text", "plain", "tail 🌍"])
def test_streamed_chunks_make_the_whole_text(folder: Path, text: str) -> None:
    tokenizers: list[Tokenizer] = [load_tokenizer(str(folder), 300), ByteTokenizer(320)]
    for tokenizer in tokenizers:
        stream = StreamDecoder(tokenizer)
        pieces = [stream.push(token_id) for token_id in tokenizer.encode(text)]
        assert "\ufffd" not in "".join(pieces)
        assert "".join(pieces) + stream.flush() == text
