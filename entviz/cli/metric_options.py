"""Metrics' options on the command line, one for each option of each metric: ``--knn-k 5`` for ``knn(k=5)``.

metric_options.add(command, METRICS)
metric_options.applied(options, ("knn", "cosine"))      # ("knn(k=5)", "cosine")
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence

from entviz.errors import OptionError
from entviz.estimators import METRICS, base, canonical


def add(command: argparse.ArgumentParser, metrics: Iterable[str]) -> None:
    """Add the options of the named metrics."""
    for name in metrics:
        for each in METRICS[name].options():
            command.add_argument(
                f"--{name}-{each.name}",
                dest=_place(name, each.name),
                metavar="N" if each.whole else "X",
                help=f"of {name}: {each.purpose}, {each.bounds} (default: {each.default:g})",
            )


def applied(options: argparse.Namespace, specs: Sequence[str]) -> tuple[str, ...]:
    """The specs in canonical form; plain names get the given options.

    Raises ``OptionError`` for a spec that cannot be read, a value out of bounds, or an option of a metric that is not
    among the plain names.
    """
    found = list(map(canonical, specs))
    for name, kind in METRICS.items():
        given = {each.name: getattr(options, _place(name, each.name), None) for each in kind.options()}
        inner = ",".join(f"{option}={value}" for option, value in given.items() if value is not None)
        if not inner:
            continue
        if name not in found:
            first = next(option for option, value in given.items() if value is not None)
            there = next((spec for spec in found if base(spec) == name), None)
            why = f"and {there} has options of its own" if there else f"which is not among {', '.join(found)}"
            raise OptionError(f"--{name}-{first} is for {name}, {why}: name {name}, or leave the option out.")
        found = [canonical(f"{name}({inner})") if spec == name else spec for spec in found]
    return tuple(found)


def _place(name: str, option: str) -> str:
    return f"option_of_{name}_{option}"
