"""Any input from outside is read, or refused with a sentence: seeded fuzzing of every boundary."""

import logging
import traceback
from random import Random

import pytest

from entviz.errors import EntvizError
from tests.fuzz.boundaries import BOUNDARIES, Boundary, sentence

# Warnings and logs quote what was read, and pytest's workers cannot hand on half a character.
pytestmark = pytest.mark.filterwarnings("ignore")

FEW, MANY = 2_000, 100_000  # cases in all


@pytest.fixture(autouse=True)
def no_logs():
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("boundary", BOUNDARIES, ids=lambda boundary: boundary.__name__)
def test_odd_input_is_read_or_refused(boundary, tmp_path, monkeypatch):
    fuzz(boundary, range(FEW // len(BOUNDARIES) + 1), tmp_path, monkeypatch)


@pytest.mark.exhaustive
@pytest.mark.parametrize("boundary", BOUNDARIES, ids=lambda boundary: boundary.__name__)
def test_much_odd_input_is_read_or_refused(boundary, tmp_path, monkeypatch):
    fuzz(boundary, range(FEW, FEW + MANY // len(BOUNDARIES) + 1), tmp_path, monkeypatch)


def fuzz(boundary: Boundary, cases: range, folder, monkeypatch) -> None:
    """Run cases by number: one that fails is run again alone by its number."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(folder)
    refused = 0
    for case in cases:
        try:
            boundary(Random(case), folder)
        except EntvizError as error:
            refused += 1
            sentence(error)
        except Exception as error:  # noqa: BLE001  any other error is what is looked for
            # In ASCII, as pytest's workers cannot hand on half a character.
            found = ascii("".join(traceback.format_exception(error)))[-3000:].replace("\\n", "\n")
            raise AssertionError(f"{boundary.__name__}, case {case}: {found}") from None
    # Cases that are all refused, or none of them, would mean that the samples are not good or the changes not odd.
    # Some boundaries catch their refusals themselves.
    inside = boundary.__name__ in ("link", "file_names", "kept_result")
    assert inside or 0 < refused < len(cases)
