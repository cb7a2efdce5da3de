"""The line of a library's error that says what is wrong."""

import pytest
from transformers import Gemma3TextConfig, LlamaConfig

from entviz.models.library_errors import telling_line


def test_configs_of_transformers():
    with pytest.raises(Exception, match="validate_layer_type") as caught:
        Gemma3TextConfig(num_hidden_layers=3, layer_types=["full_attention"] * 4)
    assert telling_line(caught.value) == (
        "`num_hidden_layers` (3) must be equal to the number of `layer_types` (4)"
    )
    with pytest.raises(Exception, match="Validation error") as caught:
        LlamaConfig(num_hidden_layers="four")
    assert telling_line(caught.value) == "Field 'num_hidden_layers' expected int, got str (value: 'four')"


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("One line.", "One line"),
        ("", "ValueError"),
        ("\n\n  It broke here.\nMore.", "It broke here"),
        (
            "Error(s) in loading:\n\tsize mismatch for x: 3 and 4.\n\tsize mismatch for y",
            "size mismatch for x: 3 and 4",
        ),
        (
            'Traceback (most recent call last):\n  File "a.py", line 3, in f\n    g()\nKeyError: no such key',
            "no such key",
        ),
        ("-----\nmodel.x | MISSING", "model.x | MISSING"),
        ("Cannot read it from one of:\n(1) a file,\n(2) another", "Cannot read it from one of"),
        ("Only an announcement:", "Only an announcement"),
        ("x" * 500, "x" * 200),
    ],
)
def test_lines(message, line):
    assert telling_line(ValueError(message)) == line
