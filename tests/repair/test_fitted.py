"""What a repair is fitted on: as many windows as it needs, shared by the kinds of text; and what is kept of it."""

import pytest

from entviz.blocks import PruneSet
from entviz.repair import fitted as module
from entviz.repair.choice import RepairChoice
from entviz.repair.fitted import calibration_of, fitted, size_of
from entviz.text.passages import passages

TEXTS = tuple(passages()[name].text for name in ("story", "law"))


@pytest.mark.parametrize(
    ("method", "size"), [("refit", (16, 256)), ("nbl", (16, 256)), ("bias", (6, 64)), ("prune-comp", (6, 64))]
)
def test_a_method_says_how_much_text_it_needs(smollm2, method, size):
    assert size_of(RepairChoice(method), smollm2) == size
    assert size_of(RepairChoice(method, windows=5, window_length=9), smollm2) == (5, 9)


def test_a_wide_model_needs_more():
    from entviz.repair.registry import METHODS

    width, inner = 4096, 14336  # of a Llama with 8 billion parameters
    assert METHODS["refit"].windows(width, inner) * 256 > 2 * inner
    assert METHODS["nbl"].windows(width, inner) * 256 > 2 * width
    assert METHODS["bias"].windows(width, inner) == 6


def test_kinds_of_text_share_the_windows(smollm2, monkeypatch):
    asked = []
    real = module.self_written

    def counted(loaded, *, windows, length, progress):
        asked.append(windows)
        return real(loaded, windows=2, length=4)

    monkeypatch.setattr(module, "self_written", counted)
    few = calibration_of(RepairChoice("refit", TEXTS, windows=6, window_length=32), smollm2)
    assert [len(one) for one in few[:2]] == [2, 2]
    assert asked.pop() == 2
    short = calibration_of(RepairChoice("refit", TEXTS, windows=60), smollm2)
    assert all(2 <= len(one) < 5 for one in short[:2]), "a passage has no more windows of 256 tokens"
    assert asked.pop() == 60 - sum(len(one) for one in short[:2])
    alone = calibration_of(
        RepairChoice("refit", TEXTS, windows=6, window_length=32, self_written=False), smollm2
    )
    assert [len(one) for one in alone] == [3, 3]


def test_a_repair_is_fitted_once(smollm2, monkeypatch):
    choice, drop = RepairChoice("bias", TEXTS, self_written=False), PruneSet.parse("attn.27")
    first = fitted(choice, smollm2, drop)
    monkeypatch.setattr(module, "fit", None)
    assert fitted(choice, smollm2, drop) is first
    assert first.tokens == 6 * 64
