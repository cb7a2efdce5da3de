"""The report of a ranking.

of_ranking(ranking, About("smollm2-135m", text, "the news passage"), run.options)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from entviz.criteria import CRITERIA, known
from entviz.criteria.switches import all_switches
from entviz.figures import grid
from entviz.report.command import About, command
from entviz.report.document import Section, document
from entviz.report.ending import ending, measured_on
from entviz.words.metrics import metric_title

if TYPE_CHECKING:
    from entviz.criteria.ranking import Ranking


def of_ranking(ranking: Ranking, about: About, asked: Mapping[str, Any]) -> str:
    """Blocks in the order in which a criterion drops them.

    ``asked`` are the options of :class:`entviz.studies.ranking.Rank`, with the windows and their length.
    """
    criterion = known(ranking.criterion)
    switched = [each for each in criterion.switches() if asked.get(each.name) == each.on]
    how = "".join(f" {switch.title}: {switch.purpose}" for switch in switched)
    sections = [
        Section("Criterion", f"{criterion.title}: {criterion.source}.{how}"),
        Section("Dropped", code=str(ranking.drop) or "nothing: no budget was given"),
        Section("Every block by its score", _LEGEND, html=_board(ranking, asked)),
        Section("Order", table=_order(ranking)),
        Section("Scores by depth", table=ranking.scores),
    ]
    first_and_last = asked.get("protect")
    again = command(
        about,
        "rank",
        {
            "--criterion": ":".join([ranking.criterion, *_more(ranking.criterion, asked)]),
            "--estimator": asked.get("estimator"),
            "--level": asked["level"],
            "--budget": asked["budget"],
            "--protect": None if first_and_last is None else ",".join(map(str, first_and_last)),
            "--stage": asked.get("stage"),
            **{
                f"--{switch.word}": asked.get(switch.name) is True
                for switch in criterion.switches()
                if switch.on is True
            },
            "--repair": asked.get("repair"),
            "--seed": asked.get("seed"),
            "--seconds": asked.get("seconds"),
            "--windows": asked["windows"],
            "--window-length": asked["window_length"],
        },
    )
    timed = "seconds" in criterion.options() or "latency" in str(asked["budget"])
    note = "What it chooses depends on how fast the machine is, and may differ." if timed else ""
    subtitle = measured_on(about, asked["windows"], asked["window_length"], ranking.notes)
    return document("Blocks ranked", subtitle, [*sections, *ending(about, again, note)])


_LEGEND = (
    "✕ dropped, ● protected, dashed: without a score. Dark cells have the lowest scores, and go first. Point at a cell "
    "for its numbers."
)


def _more(name: str, asked: Mapping[str, Any]) -> list[str]:
    """Options of the criterion that have no flag in the shell, as they stand behind its name."""
    flags = {
        "estimator",
        "stage",
        "seed",
        "seconds",
        "repair",
        *(each.name for each in all_switches(CRITERIA.values()).values() if each.on is True),
    }
    own = [option for option in known(name).options() if option in asked and option not in flags]
    return [f"{option}={asked[option]}" for option in own]


def _board(ranking: Ranking, asked: Mapping[str, Any]) -> str:
    criterion = known(ranking.criterion)
    title, unit = criterion.score_title, criterion.score_unit
    if "estimator" in criterion.options():
        title += f", {metric_title(asked['estimator'])}"
    kinds = [kind for kind in ("layer", "attn", "mlp") if kind in set(ranking.scores["kind"])]
    drawn = grid.picture(grid.table([ranking], None, "", ranking.drop, unit), ranked=kinds)
    bar = grid.colour_bar(drawn, f"{title} ({unit})" if unit else title)
    return f'{grid.board(drawn, kinds)}<div style="max-width:360px;margin-top:12px">{bar}</div>'


def _order(ranking: Ranking) -> pd.DataFrame:
    scores = dict(zip(ranking.scores["block"], ranking.scores["score"], strict=True))
    return pd.DataFrame(
        {
            "rank": range(1, len(ranking.order) + 1),
            "block": [str(block) for block in ranking.order],
            "score": [float(scores[str(block)]) for block in ranking.order],
            "dropped": [block in ranking.drop for block in ranking.order],
        }
    )
