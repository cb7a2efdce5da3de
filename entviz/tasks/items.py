"""The items of a multiple-choice task.

item = Item.ask("The opposite of hot is", ["cold", "warm"], answer=0)
task = Task("opposites", (item,))
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from entviz.errors import OptionError, TextError

MOST_ITEMS = 100_000
MOST_CHOICES = 32
MOST_CHARACTERS = 100_000  # of one context, or of one choice


@dataclass(frozen=True)
class Item:
    """One question. A model's answer is right if the right choice has the highest likelihood.

    Attributes:
        contexts: the text before each choice. Usually all choices continue the same context. If the contexts differ,
            the choices are usually the same, and the contexts compete (WinoGrande).
        choices: the texts whose likelihood is measured, each after a space.
        answer: the index of the right one, from 0.
    """

    contexts: tuple[str, ...]
    choices: tuple[str, ...]
    answer: int

    @classmethod
    def ask(cls, context: str, choices: Sequence[str], answer: int) -> Item:
        """An item whose choices continue one context."""
        return cls((context,) * len(choices), tuple(choices), answer)

    def __post_init__(self) -> None:
        if not 2 <= len(self.choices) <= MOST_CHOICES:
            raise TextError(
                f"An item needs 2 to {MOST_CHOICES} choices, but this one has {len(self.choices)}."
            )
        if len(self.contexts) != len(self.choices):
            raise TextError(f"There are {len(self.contexts)} contexts for {len(self.choices)} choices.")
        if not 0 <= self.answer < len(self.choices):
            raise TextError(
                f"The answer is the index of a choice and must be from 0 to {len(self.choices) - 1}, not {self.answer}."
            )
        if not all(choice.strip() for choice in self.choices):
            raise TextError("A choice is empty.")
        for text in {*self.contexts, *self.choices}:
            if len(text) > MOST_CHARACTERS:
                raise TextError(f"A text is longer than {MOST_CHARACTERS} characters.")
            if any("\ud800" <= character <= "\udfff" for character in text):
                raise TextError("A text contains an unpaired surrogate, which is half a character.")

    def to_json(self) -> dict[str, object]:
        """The item in the form of a line of a task file."""
        shared = len(set(self.contexts)) == 1
        return {
            "context": self.contexts[0] if shared else list(self.contexts),
            "choices": list(self.choices),
            "answer": self.answer,
        }


@dataclass(frozen=True)
class Task:
    """Items under one name."""

    name: str
    items: tuple[Item, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.items) <= MOST_ITEMS:
            raise TextError(
                f"The task {self.name} has {len(self.items)} items; 1 to {MOST_ITEMS} can be scored."
            )

    def first(self, limit: int | None) -> Task:
        """The task with no more than its first ``limit`` items; raises ``OptionError`` for a limit below 1."""
        if limit is not None and limit < 1:
            raise OptionError(f"Score at least 1 item, not {limit}.")
        return self if limit is None or limit >= len(self.items) else replace(self, items=self.items[:limit])

    @cached_property
    def fingerprint(self) -> str:
        """32 hexadecimal digits, equal for tasks with the same items."""
        lines = (json.dumps(item.to_json()) for item in self.items)
        return hashlib.blake2b("\n".join(lines).encode(), digest_size=16).hexdigest()

    @cached_property
    def chance(self) -> float:
        """The expected accuracy of random guessing."""
        return sum(1 / len(item.choices) for item in self.items) / len(self.items)
