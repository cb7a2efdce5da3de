"""The repair that is chosen in this session: what it is fitted on, and on which other text it is measured too.

::

    repair = chosen(selection.current())      # None where none is chosen
    repair.choice                             # a RepairChoice, as studies take it
    repair.other.title                        # another kind of text, which it is not fitted on

It is fitted on the built-in passages that are not measured on, or on a text of one's own, and on text that the model
writes itself.
"""

from dataclasses import dataclass
from typing import Any, Final

from entviz.repair import built_in
from entviz.repair.choice import RepairChoice
from entviz.studies import TextSample
from entviz.text.passages import Passage
from entviz.words.phrases import listed
from pages.parts.shared import selection

LONGEST: Final = 128  # tokens of a window of the other text; a built-in passage fills four of them
CHOICES: Final = ("repair", "repair_own", "repair_text", "repair_self")  # of the session
Choices = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class ChosenRepair:
    """A repair, and the text that it is fitted on and measured on.

    Attributes:
        choice: the method and its calibration texts.
        texts: the names of these texts.
        selection: what it is measured on first.
        other: another kind of text to measure it on; neither in view nor fitted on.
        made_by: the choices of the session that it is made by.
    """

    choice: RepairChoice
    texts: tuple[str, ...]
    selection: selection.Selection
    other: Passage
    made_by: Choices

    @property
    def other_title(self) -> str:
        """The other text's name for a sentence, such as "the story passage"."""
        return f"the {self.other.name} passage"

    @property
    def other_sample(self) -> TextSample:
        """As much of the other text as fills windows that are no longer than those in view."""
        length = min(self.selection.window_length, LONGEST)
        return TextSample(self.selection.model, self.other.text, None, length, self.selection.begin)

    @property
    def fitted_on(self) -> str:
        """What it is fitted on, for a sentence."""
        texts = self.texts if self.own else (f"the {listed(self.texts)} passages",)
        written = ("text that the model wrote itself",) if self.choice.self_written else ()
        return listed([*texts, *written])

    @property
    def briefly(self) -> str:
        """The same in a few words."""
        return ", ".join([*self.texts, *(["self-written"] if self.choice.self_written else [])])

    @property
    def own(self) -> bool:
        """Whether the calibration text is one's own."""
        return bool(dict(self.made_by)["repair_own"])


def chosen(view: selection.Selection) -> ChosenRepair | None:
    """The repair that is chosen for a model and a text in view, or None."""
    if not selection.get("repair"):
        return None
    return made_by(view, tuple((name, selection.get(name)) for name in CHOICES))


def made_by(view: selection.Selection, choices: Choices) -> ChosenRepair:
    """The repair of these choices for a model and a text in view."""
    by = dict(choices)
    own: str = by["repair_text"] if by["repair_own"] else ""
    other = built_in.another(view.text, own)
    names: tuple[str, ...] = ()
    if by["repair_own"]:
        texts = (own,) if own.strip() else ()
        names = ("your calibration text",) if texts else ()
        choice = RepairChoice(by["repair"], texts, self_written=by["repair_self"])
    else:
        choice = built_in.choice(by["repair"], view.text, other.text, self_written=by["repair_self"])
        names = tuple(one.name for one in built_in.calibration(view.text, other.text))
    return ChosenRepair(choice, names, view, other, choices)
