"""``entviz trust``: which criterion predicts damage on a model and a text."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from entviz.cli.keeping import Keeper, add_keeping
from entviz.cli.reporting import about, add_report, write_report
from entviz.cli.shared import add_command, print_json, progress_bar, read_subject, tell, words
from entviz.estimators import default_entropies, entropies, entropy_of

if TYPE_CHECKING:
    from entviz.comparison.trust.trust import Trust


def add(commands: Any) -> None:
    """Add the command to the parser's."""
    command = add_command(
        commands, "trust", run, "Tell how well each criterion's scores predict measured damage.", casts=True
    )
    command.add_argument(
        "--level", default="attn", help="layer, attn, mlp or attn+mlp (default: %(default)s)"
    )
    command.add_argument(
        "--estimators",
        default=",".join(default_entropies()),
        help=f"entropies to judge, some of {', '.join(entropies())} (default: %(default)s)",
    )
    add_report(command)
    add_keeping(command)


def run(options: argparse.Namespace) -> None:
    """Run the command: print the result and keep it."""
    from entviz.comparison.trust.trust import trust
    from entviz.comparison.trust.verdict import verdict
    from entviz.evaluation.precision import resolved
    from entviz.workbench.judging import JudgeCriteria

    estimators = tuple(entropy_of(spec).spec for spec in words(options.estimators))
    with Keeper(options) as keeper:
        subject = read_subject(options)
        loaded, windows = subject.loaded, subject.windows
        dtype = resolved(options.dtype, loaded.device)
        with progress_bar("trust") as progress:
            found = trust(
                loaded, windows, options.level, estimators=estimators, dtype=dtype, progress=progress
            )
        if options.json:
            print_json(found.to_json() | {"verdict": verdict(found)}, subject.notes)
        else:
            _print(found, str(subject))
        tell(subject.notes + found.notes)
        keeper.keep(
            JudgeCriteria(keeper.request(subject), options.level),
            loaded,
            windows.fingerprint,
            found,
            estimators=list(estimators) if estimators != default_entropies() else None,
            dtype=dtype if dtype != "float32" else None,
        )
    if options.report is not None:
        from entviz.report import of_trust

        write_report(options.report, of_trust(found, about(options, subject), dtype))


def _print(found: Trust, where: str) -> None:
    from entviz.comparison.trust.verdict import verdict

    print(where, "Damage: loss increase when a block alone is dropped.", *verdict(found))
    for scope, name in (("all", "every block"), ("inner", "without the first two layers and the last")):
        table = found.correlations[found.correlations["scope"] == scope].drop(columns="scope")
        print(f"\nRank correlation with damage over {name}, 95% intervals")
        print(table.to_string(index=False, float_format="{:.3f}".format))
