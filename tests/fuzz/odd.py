"""Random odd input made from valid samples, as typing errors, broken downloads or attackers would produce it."""

import json
from collections.abc import Sequence
from random import Random
from typing import Any

# Written as they stand in a JSON text: Python's own writer refuses some of them.
_VALUES = (
    "null",
    "true",
    "false",
    "0",
    "-1",
    "0.5",
    "-0.0",
    "1e999",
    "-1e999",
    "NaN",
    "Infinity",
    "9" * 20,
    "9" * 400,
    "9" * 5000,
    "1" + "0" * 30,
    '""',
    '"\\ud800"',
    '"\\u0000"',
    '"nan"',
    '"7"',
    '"' + "x" * 3000 + '"',
    "[]",
    "{}",
    "[[]]",
    '[{"": []}]',
    '{"a": {"b": {}}}',
    "[" * 50 + "]" * 50,
    "[" * 100_000,
    '{"a":' * 3000 + "1" + "}" * 3000,
    "[1, 2, 3]",
    '["a", 1, null]',
)
_PIECES = (
    *(
        "",
        " ",
        "\n",
        "\t",
        "\0",
        ",",
        ".",
        ":",
        ";",
        "-",
        "+",
        "%",
        "@",
        "~",
        "/",
        "\\",
        "..",
        "'",
        '"',
        "{",
        "}",
    ),
    *("0", "1", "9" * 10, "9" * 400, "9" * 5000, "1e9", "0x1f", "1_000", "-1", "nan", "inf", "٣", "²", "½"),
    *("é", "\u202e", "\ud800", "\ufeff", "\U0001f9e0", "<b>", "$(x)", "%00", "[", "]", "None", "true"),
    *("layer", "attn", "mlp", "layer.0", "attn.29", "mlp.999999", "MB", "GB", "latency", "parameters"),
)
_BYTES = (
    b"",
    b"\0",
    b"\xff",
    b"\xfe\xff",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\r",
    b"\n",
    b"[",
    b"{",
    b'"',
    b"9" * 400,
)


def text(random: Random, samples: Sequence[str]) -> str:
    """A sample with a few pieces put in, taken out, doubled or cut off."""
    found = random.choice(samples)
    for _ in range(random.randrange(5)):
        at = random.randrange(len(found) + 1)
        end = min(len(found), at + random.choice((1, 2, 10, 100)))
        piece = random.choice((random.choice(_PIECES), random.choice(samples), found[at:end] * 3))
        found = random.choice((found[:at] + piece + found[at:], found[:at] + piece + found[end:], found[:at]))
    return found[:20_000]


def data(random: Random, samples: Sequence[bytes]) -> bytes:
    """A sample with a few bytes changed, put in, taken out or cut off."""
    found = random.choice(samples)
    for _ in range(random.randrange(6)):
        at = random.randrange(len(found) + 1)
        end = min(len(found), at + random.choice((1, 2, 8, 100)))
        piece = random.choice(
            (random.choice(_BYTES), random.randbytes(random.choice((1, 4, 30))), found[at:end] * 2)
        )
        found = random.choice((found[:at] + piece + found[at:], found[:at] + piece + found[end:], found[:at]))
    return found[:50_000]


def document(random: Random, good: Any) -> str:
    """A good document as JSON, with up to three of its values, at any depth, replaced by odd ones or left out."""
    marks: dict[str, str] = {}
    odd = _replaced(random, good, random.choice((1, 1, 2, 3)), marks)
    written = json.dumps(odd)
    for mark, value in marks.items():
        written = written.replace(json.dumps(mark), value)
    return text(random, [written]) if random.random() < 0.1 else written


def _replaced(random: Random, good: Any, count: int, marks: dict[str, str]) -> Any:
    copied = json.loads(json.dumps(good))
    for _ in range(count):
        copied = _replace_one(random, copied, marks)
    return copied


def _replace_one(random: Random, value: Any, marks: dict[str, str]) -> Any:
    inner = isinstance(value, dict | list) and len(value) > 0
    if not inner or random.random() < 0.1:
        mark = f"odd value {len(marks)}"
        marks[mark] = random.choice(_VALUES)
        return mark
    key = random.choice(list(value)) if isinstance(value, dict) else random.randrange(len(value))
    if random.random() < 0.1:
        del value[key]
    elif random.random() < 0.05 and isinstance(value, dict):
        value[random.choice(_PIECES)] = value.pop(key)
    else:
        value[key] = _replace_one(random, value[key], marks)
    return value
