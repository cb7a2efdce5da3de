"""``entviz trust``: which criterion predicts damage on a model and a text."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from entviz.cli.reporting import add_report, write_report_of
from entviz.cli.running import add_keeping, runner_for
from entviz.cli.shared import add_command, measured_on, print_json, progress_bar, read_sample, tell, words
from entviz.estimators import default_entropies, entropies

if TYPE_CHECKING:
    from entviz.comparison.trust.trust import Trust


def add(commands: Any) -> None:
    """Add the command to the parser's."""
    command = add_command(
        commands, "trust", run, "Measure how well each criterion's scores predict damage.", casts=True
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
    from entviz.comparison.trust.verdict import verdict
    from entviz.studies import JudgeCriteria

    sample, notes = read_sample(options)
    study = JudgeCriteria(sample, options.level, words(options.estimators), options.dtype)
    with runner_for(options) as runner, progress_bar("trust") as progress:
        outcome = runner.run_now(study, progress)
    found = outcome.result
    if options.json:
        print_json(found.to_json() | {"verdict": verdict(found)}, notes)
    else:
        _print(found, measured_on(outcome))
    tell(notes + found.notes)
    write_report_of(options, outcome)


def _print(found: Trust, where: str) -> None:
    from entviz.comparison.trust.verdict import verdict

    print(where, "Damage: loss increase when a block alone is dropped.", *verdict(found))
    for scope, name in (("all", "every block"), ("inner", "without the first two layers and the last")):
        table = found.correlations[found.correlations["scope"] == scope].drop(columns="scope")
        print(f"\nRank correlation with damage over {name}, 95% intervals")
        print(table.to_string(index=False, float_format="{:.3f}".format))
