"""Which windows choose blocks and which are measured."""

import pytest

from entviz.comparison.grid.texts import split, spread, windows_of
from entviz.errors import OptionError, TextError
from tests.comparison.windows import random_windows


def test_windows_are_split_into_those_that_choose_and_those_that_measure(measured):
    parts = split(measured, wanted=2, most=3)
    assert parts.calibration.token_ids.tolist() == measured.token_ids[:2].tolist()
    assert parts.measured.token_ids.tolist() == measured.token_ids[2:5].tolist()
    assert len(split(measured, wanted=100).calibration) == 4
    assert len(split(measured).measured) == 4
    one = random_windows(1, 5)
    assert split(one).calibration is split(one).measured is one
    with pytest.raises(OptionError, match="at least 1 window"):
        split(measured, wanted=0)


def test_several_texts_are_measured_by_turns(smollm2):
    long, short = (
        "one two three four five six seven eight " * 10,
        "nine ten eleven twelve thirteen fourteen " * 4,
    )
    found = windows_of([long, short, "too short"], smollm2, length=16, most=4)
    tokens = [smollm2.tokenizer(text, add_special_tokens=False).input_ids for text in (long, short)]
    expected = [tokens[0][:16], tokens[1][:16], tokens[0][16:32]]
    assert found.token_ids[:3].tolist() == expected
    with pytest.raises(TextError, match="fills a window"):
        windows_of(["too short"], smollm2, length=16, most=4)


def test_spread_windows_lie_evenly_in_the_whole_text():
    whole = random_windows(11, 5)
    for wanted in range(1, 12):
        # Each comes from the middle of its equal part of the text.
        places = [int((place + 0.5) * 11 / wanted) for place in range(wanted)]
        assert spread(whole, wanted).token_ids.tolist() == whole.token_ids[places].tolist()
        assert len(set(places)) == wanted
    assert spread(whole) is whole
    for wanted in (0, 12):
        with pytest.raises(OptionError, match="1 to 11"):
            spread(whole, wanted)
