"""Scene files: what is in one, and one line for each way in which one can be wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.errors import BadInput
from cluster.scenes.load import load_scene, scene_from_argument
from cluster.scenes.scene import Scene

ASSETS = Path(__file__).parents[3] / "assets" / "clusters"
HEAD = 'format = "clusterview-scene"\nversion = 1\n'


def scene_file(folder: Path, text: str, head: str = HEAD + 'cluster = "2x4xA100-80GB"\n') -> Path:
    path = folder / "scene.toml"
    path.write_text(head + text, encoding="utf-8")
    return path


@pytest.mark.parametrize("path", sorted(ASSETS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_scene_that_comes_along_can_be_read_and_sent(path: Path) -> None:
    scene = load_scene(path)
    assert scene.faults
    assert Scene.model_validate_json(scene.model_dump_json()) == scene


def test_a_spec_is_a_scene_in_which_nothing_happens() -> None:
    scene = scene_from_argument("2x4xA100-80GB")
    assert scene.is_still
    assert len(scene.inventory.nodes) == 2


def test_nodes_can_be_named_by_either_name(tmp_path: Path) -> None:
    text = '[[nodes]]\nname = "gpu-a"\n[[faults]]\nkind = "hot"\nnode = "{}"\n'
    for name in ("gpu-a", "node-1"):
        scene = load_scene(scene_file(tmp_path, text.format(name)))
        assert len(scene.of_node("node-1")["faults"]) == 1
        assert scene.of_node("node-2")["faults"] == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[[faults]]\nkind = "melt"\nnode = "node-1"', "kind 'melt' is none of ecc, fabric, hot"),
        (
            '[[faults]]\nkind = "hot"\nnode = "node-9"',
            "node 'node-9' is none of the cluster's: node-1, node-2",
        ),
        ('[[faults]]\nkind = "hot"\nnode = "node-1"\ngpus = [4]', "has no GPU 4, only 0 to 3"),
        ('[[faults]]\nkind = "hot"\nnode = "node-1"\nat_s = 9\nuntil_s = 9', "until_s 9 is not after at_s 9"),
        ('[[faults]]\nkind = "hot"\nnode = "node-1"\nat_s = nan', "faults.0.hot.at_s"),
        ('[[faults]]\nkind = "hot"\nnode = "node-1"\nat_s = -1', "faults.0.hot.at_s"),
        ('[[faults]]\nkind = "hot"\nnode = "node-1"\nheat = 1', "faults.0.hot.heat: unknown field"),
        ('[[loads]]\nnode = "node-1"\nmemory_gib = 1e30', "loads.0.memory_gib"),
        ('[[nodes]]\nname = "a"\n[[nodes]]\nname = "a"', "two nodes have the same name"),
        ('[[nodes]]\nname = "node-2"', "two nodes have the same name"),
        ("seed = [", "is not TOML"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(BadInput) as caught:
        load_scene(scene_file(tmp_path, text))
    assert told in caught.value.message
    assert "scene.toml" in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("head", "told"),
    [
        ("a = 1\n", "is not a scene"),
        (HEAD, "cluster"),
        (HEAD + 'cluster = "2xNoSuchGPU"\n', "NoSuchGPU"),
        (HEAD + "cluster = 8\n", "cluster"),
        (HEAD.replace("1", "2") + 'cluster = "2xA100-80GB"\n', "version"),
    ],
)
def test_a_file_that_is_no_scene_is_refused(tmp_path: Path, head: str, told: str) -> None:
    with pytest.raises(BadInput) as caught:
        load_scene(scene_file(tmp_path, "", head))
    assert told in caught.value.message


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "scene.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput):
        load_scene(path)


@pytest.mark.parametrize("text", ["missing.toml", "2x4xNoSuch", "x", "a\0b"])
def test_neither_a_file_nor_a_spec(text: str) -> None:
    with pytest.raises(BadInput):
        scene_from_argument(text)
