"""The repair of the prune set in view: a job after the plain numbers, and what it finds.

::

    repair.withdraw(asked)                      # as soon as something else is in view
    found = repair.measure(shown)               # asks and draws how far it is; what there is, or None
    found.view.perplexity, found.other          # with the repair, on the text in view and on another
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from entviz.blocks import PruneSet
from entviz.figures import repairs as said
from entviz.runtime import runtime
from entviz.studies import EvaluateRepaired
from entviz.words.phrases import listed
from pages.parts.shared import background, job_view, repairs
from pages.parts.shared.markdown import escape

if TYPE_CHECKING:
    from entviz.evaluation.loss import Evaluation
    from entviz.evaluation.repaired import RepairedEvaluation
    from pages.parts.prune.numbers import EvaluationRequest

PLACE: Final = "prune.repair"
OTHER_PLACE: Final = "prune.repair_other"
_SLOT: Final = "repair in view"  # not the study's own, which the same on the other text has
# In the session's state: what the newest fit is for, and what could not be fitted or was stopped.
_ASKED: Final = "prune.repair_asked"
_FAILED: Final = "prune.repair_failed"


@dataclass(frozen=True)
class RepairRequest:
    """What was asked for: a prune set on a text, and its repair."""

    evaluation: "EvaluationRequest"
    repair: repairs.ChosenRepair

    @property
    def study(self) -> EvaluateRepaired:
        """It as a study, on the text in view."""
        asked = self.evaluation
        return EvaluateRepaired(
            asked.selection.sample(), PruneSet.parse(asked.drop), asked.dtype, repair=self.repair.choice
        )

    @property
    def other_study(self) -> EvaluateRepaired:
        """The same on the other text."""
        asked = self.evaluation
        return EvaluateRepaired(
            self.repair.other_sample, PruneSet.parse(asked.drop), asked.dtype, repair=self.repair.choice
        )


@dataclass(frozen=True, eq=False)
class Repaired:
    """What a repair gives.

    Attributes:
        about: what was asked for.
        view: with the repair and without, on the text in view.
        other: the same on another text, or None until that is measured.
    """

    about: RepairRequest
    view: "RepairedEvaluation"
    other: "RepairedEvaluation | None" = None

    @property
    def measured(self) -> "list[tuple[str, RepairedEvaluation]]":
        """The names of the texts, and what was measured on each."""
        texts = [(self.about.evaluation.selection.text_title, self.view)]
        return texts if self.other is None else [*texts, (self.about.repair.other_title, self.other)]

    @property
    def named(self) -> str:
        """How it was repaired, to follow the prune set in a sentence; as Markdown."""
        return f"repaired ({escape(self.about.repair.choice.title)})"


def request(asked: "EvaluationRequest") -> RepairRequest | None:
    """The repair that is chosen for what is dropped; None where nothing is, or none is chosen."""
    found = repairs.chosen(asked.selection) if asked.drop else None
    return None if found is None else RepairRequest(asked, found)


def withdraw(asked: "EvaluationRequest") -> None:
    """End the fit for what is no longer in view, at once: what is asked for now comes first."""
    before: RepairRequest | None = st.session_state.get(_ASKED)
    if before is not None and before != request(asked):
        for slot in (_SLOT, EvaluateRepaired.kind):  # on the text in view, and on the other
            runtime().worker.withdraw(job_view.session(), slot)
        del st.session_state[_ASKED]


def is_coming(asked: "EvaluationRequest") -> bool:
    """Whether the repair of what is dropped is asked for and not there yet."""
    about = request(asked)
    return about is not None and about not in (job_view.last(PLACE).about, st.session_state.get(_FAILED))


def measure(shown: "job_view.Shown[Evaluation]") -> Repaired | None:
    """Ask for the repair once the plain numbers are there, draw how far it is, and return what there is of it."""
    found = shown.result
    if not shown.fresh or found is None or found.windows < found.windows_total:
        return earlier(shown)
    about = request(shown.about)
    if about is None:
        return None
    st.session_state[_ASKED] = about
    repaired: job_view.Shown[Any] = job_view.show(
        lambda: runtime().ask(about.study, job_view.session(), slot=_SLOT),
        place=PLACE,
        label=f"Repair: {about.repair.choice.title}",
        about=about,
    )
    st.session_state[_FAILED] = about if repaired.failed else None
    if not repaired.fresh or repaired.result is None:
        return None
    background.show(
        OTHER_PLACE,
        about,
        about.other_study,
        ready=True,
        said=lambda share: f"Measuring {about.repair.other_title} too: {share:.0%}.",
    )
    job = background.job_at(OTHER_PLACE)
    other = job.result if job is not None and job.state == "done" else None
    result = Repaired(about, repaired.result, other)
    if other is not None:
        draw_measured_on(result)
    return result


def earlier(shown: "job_view.Shown[Evaluation]") -> Repaired | None:
    """The repair of the earlier result that is still shown, if it was repaired."""
    kept: job_view.Shown[RepairedEvaluation] = job_view.last(PLACE)
    if kept.result is None or kept.about is None or kept.about.evaluation != shown.about:
        return None
    return Repaired(kept.about, kept.result) if kept.about == request(shown.about) else None


def draw_headline(found: Repaired) -> None:
    """What is recovered on each text; where the repair does harm, with a sign."""
    headline = said.headline(found.measured)
    icon = ":material/warning: " if headline.harms else ""
    st.markdown(
        f"{icon}**{escape(headline.text)}**", help=f"{said.perplexities(found.measured)}\n\n{said.ABOUT}"
    )


def draw_measured_on(found: Repaired) -> None:
    """What the repair was fitted on, and what it was measured on."""
    tokens = [f"{one.windows * one.window_length:,} of {title}" for title, one in found.measured]
    st.caption(
        f"Fitted on {found.view.calibration_tokens:,} tokens of other text ({escape(found.about.repair.briefly)}); "
        f"measured on {listed(tokens)}, {found.view.dtype}."
    )
