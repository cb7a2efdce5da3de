"""Exercises: blocks to drop, chosen by their measured values, and the measured cost of dropping them.

::

    for exercise in exercises(analysis):
        exercise.question, [choice.drop for choice in exercise.choices]
    answer_to(exercise, evaluations)          # once each choice was evaluated

Nothing here is written for one model: blocks are selected by a rule from an analysis, and the explanation depends on
the measured outcome.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from entviz.blocks import PruneSet
from entviz.criteria import Cosine, EntroDrop, rank_by_analysis
from entviz.words.phrases import number

if TYPE_CHECKING:
    from entviz.analysis import Analysis
    from entviz.evaluation.loss import Evaluation

METRICS: Final = ("bucket", "knn", "cosine")  # what an analysis needs to hold
BUDGETS: Final = (2, 4, 8, 12)


@dataclass(frozen=True)
class ExerciseChoice:
    """One choice: its title, the prune set as text, and its measured value in a few words."""

    title: str
    drop: str
    measured: str


@dataclass(frozen=True)
class Exercise:
    """A question about two or three choices, with an explanation for each possible answer.

    ``expected`` is the choice that the criterion ranks as cheapest; ``why_expected`` explains the outcome if that
    choice is among the cheapest, ``why_not`` if another is cheaper.
    """

    name: str
    title: str
    question: str
    choices: tuple[ExerciseChoice, ...]
    expected: int
    why_expected: str
    why_not: str


@dataclass(frozen=True)
class ChoiceCost:
    """The cost of a choice on a text: the loss increase over dense and half its 95% interval, both in nats a token."""

    added: float
    reach: float
    perplexity: float
    dense_perplexity: float


def exercises(analysis: "Analysis", budget: int = 8) -> tuple[Exercise, ...]:
    """The three exercises for a model and text; ``budget`` is how many attentions the third one drops.

    The analysis must hold ``METRICS`` at the levels attn and mlp. A model of few layers has a smaller budget.
    """
    return first_to_go(analysis), compressor(analysis), two_criteria(analysis, budget)


def first_to_go(analysis: "Analysis") -> Exercise:
    """The attention that adds least entropy, the same with the first and last layers protected, and the attention that
    adds most.
    """
    rows = _rows(analysis, "knn", "attn")
    free = rows[rows["index"].between(*_free_layers(analysis.layers))]
    picks = {
        "Least of all": rows.loc[rows["value"].idxmin()],
        "Least, ends protected": free.loc[free["value"].idxmin()],
        "Most, ends protected": free.loc[free["value"].idxmax()],
    }
    different: dict[str, ExerciseChoice] = {}
    for title, row in picks.items():
        measured = f"KNN entropy increase {number(row['value'], sign=True)} nats"
        different.setdefault(row["block"], ExerciseChoice(title, row["block"], measured))
    return Exercise(
        name="first",
        title="Which attention can go first?",
        question="EntroDrop drops the block with the lowest entropy increase first: what adds little entropy adds "
        "little information, the argument goes. Of the attentions below, which do you expect to cost least? (Ends "
        "protected: the first two layers and the last are left alone.)",
        choices=tuple(different.values()),
        expected=0,
        why_expected="Here the attention that adds least entropy is indeed among the cheapest to lose.",
        why_not="An entropy increase tells how the spread of the tokens changes across one block. It does not tell "
        "how much later layers lean on what the block wrote. The EntroDrop authors' code never drops the first two "
        "layers and the last, whatever their entropy increase.",
    )


def compressor(analysis: "Analysis") -> Exercise:
    """The MLP that lowers bucket entropy most, and the attention of the same layer."""
    rows = _rows(analysis, "bucket", "mlp")
    mlp = rows.loc[rows["value"].idxmin()]
    attention = _rows(analysis, "bucket", "attn").set_index("index").loc[mlp["index"]]
    where = "lowers" if mlp["value"] < 0 else "raises"
    return Exercise(
        name="compressor",
        title="Drop what compresses?",
        question=f"By bucket entropy {mlp['block']} has the lowest entropy increase of all MLPs: it {where} entropy "
        f"by {number(abs(mlp['value']))} nats. Lowest goes first, so a criterion that asks nothing else drops it "
        f"before every other MLP. Can the model spare it? And the attention of the same layer?",
        choices=tuple(
            ExerciseChoice(
                title, row["block"], f"bucket entropy increase {number(row['value'], sign=True)} nats"
            )
            for title, row in (("The MLP", mlp), ("The attention of its layer", attention))
        ),
        expected=0,
        why_expected="On this model and text the MLP that adds least bucket entropy is the cheaper of the two, as "
        "its score says.",
        why_not="A block that lowers entropy does something: it changes the stream, only towards less spread. A "
        "very low score can mean much work rather than none. The EntroDrop paper therefore drops blocks of stage 2 "
        "only, after the turning point.",
    )


def two_criteria(analysis: "Analysis", budget: int) -> Exercise:
    """``budget`` attentions, chosen by KNN entropy increase and by cosine importance."""
    first, last = _free_layers(analysis.layers)
    protect = (first, analysis.layers - 1 - last)
    budget = min(budget, last - first + 1)
    found = {
        criterion.name: rank_by_analysis(analysis, criterion, level="attn", budget=budget, protect=protect)
        for criterion in (EntroDrop("knn"), Cosine())
    }
    entropy, cosine = (PruneSet(ranking.order[:budget]) for ranking in found.values())
    shared = len(entropy.attention & cosine.attention)
    importance = _rows(analysis, "cosine", "attn").set_index("index")["value"]
    alone = sorted(entropy.attention - cosine.attention, key=lambda index: importance[index])
    odd = (
        f" Of what entropy takes and cosine does not, attn.{alone[-1]} turns its input most: its importance is "
        f"{number(float(importance[alone[-1]]))}, where the median of all attentions is "
        f"{number(float(importance.median()))}."
        if alone
        else ""
    )
    return Exercise(
        name="criteria",
        title="Entropy's choice or cosine's?",
        question=f"{_counted(budget)} may go, none from the first two layers or the last. Lowest KNN entropy "
        f"increase chooses one set, lowest cosine importance another; they share {shared} of {budget}. Which set "
        "costs less? Would you bet the same at another budget?",
        choices=(
            ExerciseChoice("Entropy's choice", str(entropy), "lowest KNN entropy increase"),
            ExerciseChoice("Cosine's choice", str(cosine), "lowest importance, 1 − cosine similarity"),
        ),
        expected=0,
        why_expected="Entropy's choice is no worse than cosine's at this budget. Both criteria judge each block by "
        "itself, so how blocks make up for one another is in neither: try the other budgets before you trust one.",
        why_not="Cosine's choice is the better one at this budget. A block can turn the hidden states without "
        f"changing how far apart they lie, and KNN entropy does not see that.{odd} Both criteria judge each block by "
        "itself, so how blocks make up for one another is in neither: try the other budgets too.",
    )


def cost(evaluation: "Evaluation") -> ChoiceCost:
    """The cost of dropping, with the interval of the paired difference."""
    increase = evaluation.nll_increase
    return ChoiceCost(
        added=increase.mean,
        reach=increase.reach,
        perplexity=evaluation.perplexity,
        dense_perplexity=evaluation.dense_perplexity,
    )


@dataclass(frozen=True)
class Answer:
    """The outcome of an exercise and its explanation, as text; ``why`` is empty if there is no clear outcome."""

    said: str
    why: str = ""


def answer_to(exercise: Exercise, evaluations: Sequence["Evaluation"]) -> Answer:
    """Judge one evaluation on the same text for each choice, in their order."""
    if len({choice.drop for choice in exercise.choices}) == 1:
        return Answer("All choices are the same set here, so they cost the same.")
    losses = [evaluation.nll for evaluation in evaluations]
    best, worst = int(np.argmin(losses)), int(np.argmax(losses))
    expected = evaluations[exercise.expected]
    behind = expected.nll_above(evaluations[best].token_nll)
    spread = evaluations[worst].nll_above(evaluations[best].token_nll)
    if not spread.clear:
        return Answer(
            "No answer: on so few tokens the difference between the choices may be chance. Raise the number of windows "
            "in the sidebar, under Advanced."
        )
    cheapest, costliest = (_named(exercise.choices[position]) for position in (best, worst))
    said = (
        f"{cheapest} costs least and {costliest} most, {number(math.exp(spread.mean))} times the perplexity."
    )
    why = exercise.why_expected if not behind.clear else exercise.why_not
    return Answer(said[:1].upper() + said[1:] if "," in exercise.choices[best].drop else said, why)


def _named(choice: ExerciseChoice) -> str:
    return choice.drop if "," not in choice.drop else choice.title[:1].lower() + choice.title[1:]


def _counted(budget: int) -> str:
    return "One attention" if budget == 1 else f"{budget} attentions"


def _rows(analysis: "Analysis", metric: str, kind: str) -> pd.DataFrame:
    rows = analysis.blocks
    return rows[(rows["metric"] == metric) & (rows["kind"] == kind)].sort_values("index", ignore_index=True)


def _free_layers(layers: int) -> tuple[int, int]:
    """The first and last layer from which the authors' code may drop; all layers if no layer would be left."""
    first, last = EntroDrop.protection
    return (first, layers - 1 - last) if layers > first + last else (0, layers - 1)
