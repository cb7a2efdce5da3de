"""Which dropped block costs which token: tables, a sentence and bars, from a
:class:`entviz.comparison.damages.token_damages.TokenDamages`.

::

    rows = rows_of(tokens.table(evaluation, pieces), damages, "attn.7")   # to be coloured by what attn.7 costs
    token_sentence(damages, 0, 17, " harbour")
    token_bars(damages, 0, 17)
    worst_sentence(damages, "attn.7", pieces)
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from entviz.figures import theme
from entviz.figures.bench import halves
from entviz.figures.tokens import BETTER, WORSE
from entviz.words.massive import repr_of
from entviz.words.phrases import listed, number

if TYPE_CHECKING:
    from entviz.comparison.damages.token_damages import TokenDamages

NAMED: Final = 5  # blocks or tokens that a sentence names
MARKED: Final = 12  # tokens that are marked for a block
SAID: Final = 3  # of them, where there is little room for words
MOST_BARS: Final = 12
ROW_HEIGHT: Final = 22


def table(damages: "TokenDamages", pieces: Sequence[Sequence[str]] | None = None) -> pd.DataFrame:
    """A row for each scored token, in the order of the text.

    Columns: window and position (from 1), token (its text; only with ``pieces``), nll (nats, without the prune set),
    dearest (the block whose absence costs it most, of those measured), and what each measured block costs it (nats),
    by its name.
    """
    windows, scored = damages.token_nll.shape
    found: dict[str, object] = {
        "window": np.repeat(np.arange(1, windows + 1), scored),
        "position": np.tile(np.arange(2, scored + 2), windows),
    }
    if pieces is not None:
        found["token"] = [piece for window in pieces for piece in window[1:]]
    found["nll"] = damages.token_nll.ravel()
    costs = {block: damages.of(block).ravel() for block in damages.measured}
    if costs:
        found["dearest"] = np.array(list(costs))[np.argmax(list(costs.values()), axis=0)]
    return pd.DataFrame(found | costs)


def rows_of(rows: pd.DataFrame, damages: "TokenDamages", block: str) -> pd.DataFrame:
    """The rows of :func:`entviz.figures.tokens.table` with what one block costs in place of the whole increase.

    ``dense_nll`` is then the loss with the block put back, and ``kl`` is not known.
    """
    first = np.full((damages.windows, 1), np.nan)
    increase = np.concatenate([first, damages.of(block)], axis=1).ravel()
    nll = np.concatenate([first, damages.token_nll], axis=1).ravel()
    return rows.assign(nll=nll, dense_nll=nll - increase, increase=increase, kl=np.nan)


def links(damages: "TokenDamages", pieces: Sequence[Sequence[str]], windows: Iterable[int]) -> dict[str, Any]:
    """What a text and the blocks beside it can show of each other, as plain data.

    A token's place is its window and position, from 1: ``"2.17"``. ``windows`` (from 1) are those of which tokens are
    in view.

    Returns:
        dropped (attentions and MLPs of the prune set by name); tokens (measured block -> up to ``MARKED`` tokens of
        all windows that it costs most, each with place, text in quotation marks, and cost in nats, as text); blocks
        (place of a token in view -> the block that costs it most); and said (how many tokens a sentence names).
    """
    costs = {block: damages.of(block) for block in damages.measured}
    blocks: dict[str, str] = {}
    if costs:
        names, every = list(costs), np.stack(list(costs.values()))
        dearest, most = every.argmax(axis=0), every.max(axis=0)
        for window in dict.fromkeys(int(one) - 1 for one in windows):
            blocks |= {
                _place(window, int(place)): names[dearest[window, place]]
                for place in np.flatnonzero(most[window] > 0)
            }
    return {
        "dropped": halves(damages.drop),
        "tokens": {
            block: [
                (
                    _place(window, place),
                    repr_of(pieces[window][place + 1]),
                    number(cost[window, place], sign=True),
                )
                for window, place in _dearest(cost, MARKED)
            ]
            for block, cost in costs.items()
        },
        "blocks": blocks,
        "said": SAID,
    }


def _place(window: int, place: int) -> str:
    return f"{window + 1}.{place + 2}"


def _dearest(costs: np.ndarray, count: int) -> list[tuple[int, int]]:
    """Window and place of the tokens with the highest costs above 0, the highest first; ``costs`` (W, S-1)."""
    order = np.argsort(-costs, axis=None, kind="stable")[:count]
    places = zip(*np.unravel_index(order, costs.shape), strict=True)
    return [(int(window), int(place)) for window, place in places if costs[window, place] > 0]


def names_of(block: str) -> tuple[str, str]:
    """What the two models of :func:`rows_of` are called, the one compared with first."""
    return f"{block} put back", "pruned"


def token_sentence(damages: "TokenDamages", window: int, position: int, token: str) -> str:
    """Which dropped block costs a token most. Plain text; ``window`` and ``position`` count from 0."""
    where = f"{token!r} (window {window + 1}, token {position + 1})"
    loss = f"its loss is {number(damages.token_nll[window, position - 1])} nats"
    costs = damages.at(window, position)
    if costs.empty:
        return f"{where}: {loss}. No block is measured yet."
    first = costs.iloc[0]
    if first["cost"] <= 0:
        return f"{where}: {loss}. Putting none of the dropped blocks back alone would lower it."
    others = [f"{row.block} {number(row.cost, sign=True)}" for row in costs[1:NAMED].itertuples()]
    rest = f" Then {listed(others)}." if others else ""
    return (
        f"{where}: {loss}. {first['block']} costs it most, {number(first['cost'], sign=True)} nats: so much lower it "
        f"would be with {first['block']} put back alone.{rest}"
    )


def worst_sentence(damages: "TokenDamages", block: str, pieces: Sequence[Sequence[str]]) -> str:
    """Which tokens a dropped block costs most, and how much of the whole. Plain text."""
    costs = damages.of(block)
    named = [
        f"{pieces[window][place + 1]!r} ({number(costs[window, place], sign=True)})"
        for window, place in _dearest(costs, NAMED)
    ]
    mean = f"Dropping {block} costs {number(float(costs.mean()), sign=True)} nats a token on average"
    return f"{mean}, most of all {listed(named)}." if named else f"{mean}, and no token loses by it."


def token_bars(damages: "TokenDamages", window: int, position: int) -> go.Figure:
    """What each dropped block costs one token, nats, the dearest on top; at most ``MOST_BARS`` of them."""
    costs = damages.at(window, position).head(MOST_BARS)[::-1]
    figure = go.Figure()
    figure.add_bar(
        x=costs["cost"],
        y=costs["block"],
        orientation="h",
        marker={"color": [WORSE if cost > 0 else BETTER for cost in costs["cost"]], "line": {"width": 0}},
        customdata=[
            f"<b>{row.block}</b><br>{number(row.cost, sign=True)} nats" for row in costs.itertuples()
        ],
        hovertemplate="%{customdata}<extra></extra>",
    )
    height = 90 + ROW_HEIGHT * max(1, len(costs))
    theme.style(figure, x_title="Cost to this token (nats)", y_title="", height=height, legend=False)
    figure.update_yaxes(type="category")
    return figure
