"""A GGUF file in parts: loaded as a whole if all parts are there; otherwise the message names the missing part."""

from pathlib import Path
from typing import Any

import pytest

from entviz.errors import ModelError
from entviz.models import load
from tests.models.gguf_files import made, tensors, write

COUNT = 3


def split(directory: Path, model: Any, **changes: dict[str, Any]) -> list[Path]:
    """A model in three parts, as llama-gguf-split writes them; ``changes`` by "part2" and so on replace keys."""
    names = list(tensors(model))
    parts = []
    for number in range(COUNT):
        path = directory / f"tiny-{number + 1:05d}-of-{COUNT:05d}.gguf"
        mine = set(names[number::COUNT])
        other = {"split.no": number, "split.count": COUNT, "split.tensors.count": len(names)}
        write(
            path,
            model,
            # All metadata stand in the first part.
            says=None if number == 0 else dict.fromkeys(_KEYS),
            tokenizer=number == 0,
            drop=lambda name, mine=mine: name not in mine,
            other=other | changes.get(f"part{number + 1}", {}),
        )
        parts.append(path)
    return parts


_KEYS = [
    "block_count",
    "embedding_length",
    "attention.head_count",
    "context_length",
    "feed_forward_length",
    "attention.head_count_kv",
    "attention.layer_norm_rms_epsilon",
    "rope.freq_base",
    "rope.dimension_count",
]


@pytest.fixture
def whole(cache, tmp_path) -> Any:
    """The same model loaded from one file."""
    return load(str(write(tmp_path / "whole.gguf", made("llama"))))


@pytest.mark.parametrize("which", [0, 1, 2, None])
def test_any_part_and_the_folder_stand_for_all(cache, tmp_path, whole, which):
    (tmp_path / "parts").mkdir()
    parts = split(tmp_path / "parts", made("llama"))
    loaded = load(str(parts[0].parent if which is None else parts[which]))
    assert loaded.fingerprint == whole.fingerprint
    assert loaded.tokenizer("cab").input_ids == whole.tokenizer("cab").input_ids
    left = [path for path in (cache / "models").rglob("*") if path.suffix == ".gguf"]
    assert left == []


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_missing_part_is_named(cache, tmp_path, missing):
    parts = split(tmp_path, made("llama"))
    parts[missing].unlink()
    for asked in (parts[(missing + 1) % COUNT], tmp_path):
        with pytest.raises(
            ModelError, match=f"one of 3 parts of a model, but {parts[missing].name} is missing"
        ):
            load(str(asked))


def test_part_under_another_name_says_that_it_is_one(cache, tmp_path):
    part = split(tmp_path, made("llama"))[1]
    part.rename(tmp_path / "model.gguf")
    with pytest.raises(ModelError, match="is part 2 of a model that was split into 3"):
        load(str(tmp_path / "model.gguf"))


def test_parts_of_two_models_are_not_mixed(cache, tmp_path):
    split(tmp_path, made("llama"))
    (tmp_path / "other").mkdir()
    other = split(tmp_path / "other", made("llama", layers=5))
    other[1].replace(tmp_path / other[1].name)
    with pytest.raises(ModelError):
        load(str(tmp_path))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"part2": {"split.no": 2}}, "says that it is part 3 of 3, but its name says part 2 of 3"),
        ({"part3": {"split.count": 4}}, "part 3 of 4"),
        (
            {"part1": {"split.tensors.count": 99}},
            "says that its model has 99 tensors, but the 3 parts hold 39",
        ),
        ({"part2": {"llama.rope.freq_base": 500.0}}, "have different values of llama.rope.freq_base"),
    ],
)
def test_parts_that_contradict_one_another_are_refused(cache, tmp_path, changes, sentence):
    parts = split(tmp_path, made("llama"), **changes)
    with pytest.raises(ModelError, match=sentence):
        load(str(parts[0]))


def test_tensor_in_two_parts_is_refused(cache, tmp_path):
    parts = split(tmp_path, made("llama"))
    write(
        parts[1],
        made("llama"),
        says=dict.fromkeys(_KEYS),
        tokenizer=False,
        other={"split.no": 1, "split.count": COUNT},
    )
    with pytest.raises(ModelError, match="which another part holds too"):
        load(str(parts[0]))


def test_tensors_are_counted_over_all_parts(cache, tmp_path):
    model = made("llama")
    names = list(tensors(model))
    lost = names[5]  # of the third part
    parts = split(tmp_path, model, part1={"split.tensors.count": len(names) - 1})
    write(
        parts[2],
        model,
        says=dict.fromkeys(_KEYS),
        tokenizer=False,
        drop=lambda name: name not in set(names[2::COUNT]) - {lost},
        other={"split.no": 2, "split.count": COUNT},
    )
    with pytest.raises(ModelError, match=f"lacks the tensor {lost}"):
        load(str(parts[0]))
