"""The subject of a report, and the command line that computes the same numbers again.

command(about, "evaluate", {"--windows": 4, "--window-length": 128, "--drop": "attn.5"})
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from entviz.models import CATALOG
from entviz.store import program

CALIBRATION_FILE = "calibration.txt"  # what a command calls the text that a repair was fitted on
TEXT_FILE = "text.txt"  # the file name under which a report offers the measured text


@dataclass(frozen=True)
class About:
    """The model and text of a report.

    Attributes:
        model: the name of the model, as the user gave it.
        text: the text whose windows were measured.
        text_title: the text in a few words, such as "the news passage".
        program: the program that computed it; this program by default.
        created: the time in seconds since 1970, UTC; None if unknown.
        weights: the number type of the loaded weights, if it was not float32.
        device: the device it ran on, if the user chose one.
        begin: whether texts began with the tokenizer's beginning token.
    """

    model: str
    text: str
    text_title: str
    program: str = ""
    created: float | None = None
    weights: str = ""
    device: str = ""
    begin: bool = True

    @property
    def model_title(self) -> str:
        return CATALOG[self.model].title if self.model in CATALOG else self.model

    @property
    def computed_by(self) -> str:
        return self.program or program()


def repairing(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a command that fits the same repair; ``options`` are those of a stored run. Empty for none."""
    if not options.get("repair"):
        return {}
    return {
        "--repair": options["repair"],
        "--repair-text-file": CALIBRATION_FILE if options["calibration"] else "",
        "--no-repair-self-written": not options["self_written"],
        "--repair-windows": options["calibration_windows"],
        "--repair-window-length": options["calibration_window_length"],
    }


def command(about: About, name: str, options: Mapping[str, Any], *, text: bool = True) -> str:
    """A shell command line. With ``text`` it reads ``TEXT_FILE``.

    Options that are None, False or empty are left out; an option that is True has no value.

    The result is empty if a text is needed and it is not known.
    """
    if text and not about.text:
        return ""
    given: dict[str, Any] = {"--model": about.model, **({"--text-file": TEXT_FILE} if text else {})}
    given |= {"--dtype": about.weights, "--device": about.device, **options, "--no-bos": not about.begin}
    words = ["python", "-m", "entviz", name]
    for option, value in given.items():
        if value is True:
            words.append(option)
        elif value is not None and value is not False and value != "":
            # A prompt that begins with a dash would be taken for the next option.
            words += [f"{option}={value}"] if str(value).startswith("-") else [option, str(value)]
    return shlex.join(words)
