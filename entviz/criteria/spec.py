"""A criterion with its options as a piece of text: ``entrodrop:knn(k=5):iterative``, ``random:seed=3``.

    criterion_of("cosine:iterative")       # Cosine(iterative=True)
    spec_of(Random(seed=3))                # "random:seed=3": what has its usual value is left out
    parts("entrodrop:knn:stage-2")         # ("entrodrop", "knn", ("stage-2",))

After the name comes the estimator, where the criterion has one, and then any number of its switches by their words and
of its other options as ``option=value``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any

from entviz.criteria.criterion import Criterion
from entviz.criteria.registry import CRITERIA, criterion
from entviz.criteria.switches import all_switches
from entviz.errors import OptionError
from entviz.estimators import entropies, is_entropy

_SHOWN_CHARACTERS = 60
_MOST_CHARACTERS = 24  # of a number; Python reads thousands of digits slowly or not at all


def parts(spec: str) -> tuple[str, str, tuple[str, ...]]:
    """The criterion's name, the estimator (empty where it has none), and what follows; all may be unknown here."""
    name, *rest = (part.strip() for part in spec.split(":"))
    kind = CRITERIA.get(name)
    has_estimator = "estimator" in kind.options() if kind is not None else bool(rest) and is_entropy(rest[0])
    return (name, rest[0], tuple(rest[1:])) if has_estimator and rest else (name, "", tuple(rest))


def criterion_of(spec: str, also: Iterable[str] = ()) -> tuple[Criterion, tuple[str, ...]]:
    """The criterion that a spec describes, and those of the words ``also`` that stand in it beside its options.

    Raises ``OptionError`` for an unknown criterion, estimator or option, and for a value that cannot be used.

    Example:
        >>> from entviz.criteria.spec import criterion_of
        >>> criterion_of("entrodrop:renyi:stage-2")[0].stage
        2
    """
    name, estimator, words = parts(spec)
    kind = CRITERIA[name]
    options: dict[str, Any] = {}
    if "estimator" in kind.options() and (estimator or words):
        if not is_entropy(estimator):
            raise _unknown(spec, kind, estimator, also)
        options["estimator"] = estimator
    switches, found = all_switches([kind]), []
    for word in words:
        option, equals, value = (piece.strip() for piece in word.partition("="))
        if word in also:
            found.append(word)
        elif word in switches:
            options[switches[word].name] = switches[word].on
        elif equals and option in kind.options() and option != "estimator":
            options[option] = _read(kind, option, value)
        else:
            raise _unknown(spec, kind, word, also)
    return criterion(name, **options), tuple(word for word in also if word in found)


def spec_of(one: Criterion) -> str:
    """The criterion as it is written: its name, its estimator, and each option that has not its usual value."""
    found = [one.name]
    if "estimator" in one.options():
        found.append(one.estimator)  # type: ignore[attr-defined]  # asked for in the line above
    switches = {each.name: each for each in one.switches()}
    for each in fields(one):
        value = getattr(one, each.name)
        if value != each.default and each.name != "estimator":
            at_on = each.name in switches and value == switches[each.name].on
            found.append(switches[each.name].word if at_on else f"{each.name}={value}")
    return ":".join(found)


def _read(kind: type[Criterion], option: str, text: str) -> Any:
    """A value as the type of the option's default."""
    default: Any = next(each.default for each in fields(kind) if each.name == option)
    read: Callable[[str], Any] = int if default is None else type(default)
    try:
        if isinstance(default, bool) or len(text) > _MOST_CHARACTERS:
            raise ValueError
        return read(text)
    except ValueError:
        raise OptionError(
            f"'{text[:_SHOWN_CHARACTERS]}' is no value for {option} of {kind.name}, which is usually {default}."
        ) from None


def _unknown(spec: str, kind: type[Criterion], word: str, also: Iterable[str]) -> OptionError:
    if "estimator" in kind.options() and word == parts(spec)[1]:
        takes = f"an entropy: {', '.join(entropies())}"
    else:
        own = {each.name for each in kind.switches()} | {"estimator"}
        words = [*all_switches([kind]), *also, *(f"{name}=…" for name in kind.options() if name not in own)]
        takes = ", ".join(words) or "nothing"
    return OptionError(
        f"'{spec[:_SHOWN_CHARACTERS]}' is not a criterion: where '{word[:_SHOWN_CHARACTERS]}' stands, {kind.name} "
        f"takes {takes}."
    )
