"""To bytes and back: results are restored exactly, and other bytes are never taken for a result."""

import dataclasses
import io
import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entviz.blocks import PruneSet
from entviz.evaluation.generation import Generation
from entviz.store import codec
from entviz.store.codec import UnreadableError, pack, unpack
from entviz.studies import result_type, stored_studies
from tests.store.results import EXAMPLES, a_generation, an_evaluation, assert_same


@pytest.mark.parametrize("kind", EXAMPLES)
def test_every_kind_of_result_comes_back_as_it_went(kind):
    result = EXAMPLES[kind]()
    data, size = pack(kind, result)
    again, same_size = unpack(kind, data, result_type)
    assert_same(result, again)
    assert size == same_size > 0


def test_every_registered_kind_has_an_example_here():
    parts = {part for study in stored_studies().values() for part in study.parts}
    assert set(EXAMPLES) == parts | set(stored_studies())


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(0, 2**31), max_size=20),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=50),
    st.floats(allow_nan=False),
)
def test_any_texts_and_numbers_come_back(token_ids, text, seconds):
    result = Generation(token_ids, len(token_ids), text, PruneSet.parse("mlp.3"), seconds, -seconds)
    assert_same(result, unpack("generation", pack("generation", result)[0], result_type)[0])


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damaged_bytes_are_never_taken_for_another_result(data):
    result = an_evaluation()
    packed = bytearray(pack("evaluation", result)[0])
    for _ in range(data.draw(st.integers(1, 4))):
        packed[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    packed = packed[: data.draw(st.integers(0, len(packed)))]
    try:
        again, _ = unpack("evaluation", bytes(packed), result_type)
    except UnreadableError:
        return
    assert_same(result, again)  # the damage hit nothing that matters, such as a time stamp


def test_pickles_in_an_archive_are_not_read(tmp_path):
    ran = tmp_path / "ran"

    class Malicious:
        def __reduce__(self):
            return (ran.touch, ())

    buffer = io.BytesIO()
    np.savez(buffer, header=np.array([Malicious()], dtype=object), allow_pickle=True)
    ran.unlink(missing_ok=True)
    with pytest.raises(UnreadableError):
        unpack("evaluation", buffer.getvalue(), result_type)
    with pytest.raises(UnreadableError):
        unpack("evaluation", pickle.dumps(an_evaluation()), result_type)
    assert not ran.exists()


def test_an_archive_that_claims_to_be_huge_is_not_unpacked(monkeypatch):
    monkeypatch.setattr(codec, "LARGEST", 100)
    with pytest.raises(UnreadableError, match="too large"):
        unpack("evaluation", pack("evaluation", an_evaluation())[0], result_type)


def test_a_result_of_another_form_is_unreadable():
    """As after an update that gave the dataclass a further field."""
    data, _ = pack("generation", a_generation())
    with np.load(io.BytesIO(data)) as archive:
        header = json.loads(archive["header"].tobytes())
    del header["fields"]["text"]
    buffer = io.BytesIO()
    np.savez(buffer, header=np.frombuffer(json.dumps(header).encode(), np.uint8))
    with pytest.raises(UnreadableError, match="text"):
        unpack("generation", buffer.getvalue(), result_type)
    with pytest.raises(UnreadableError, match="generation"):
        unpack("evaluation", data, result_type)


@pytest.mark.parametrize(
    ("kind", "newer"),
    [("cell", {"nll_cosines"}), ("interactions", {"beyond_loss_cosines", "beyond_kl_cosines"})],
)
def test_results_of_versions_that_kept_no_averages_of_tokens_open(kind, newer):
    """As an earlier version packed them: without the fields that came later."""
    found = EXAMPLES[kind]()
    kept = [field.name for field in dataclasses.fields(found) if field.name not in newer]
    earlier = dataclasses.make_dataclass(type(found).__name__, kept)
    again, _ = unpack(kind, pack(kind, earlier(*(getattr(found, name) for name in kept)))[0], result_type)
    assert all(getattr(again, name) is None for name in newer)
    assert_same(dataclasses.replace(found, **dict.fromkeys(newer)), again)
