"""The pages by name, in the order of the menu. A new one is a line here; its script is ``pages/NAME.py``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from entviz.registry import Registry

FOLDER: Final = Path(__file__).parents[2]


@dataclass(frozen=True)
class PageEntry:
    """A page of the menu.

    Attributes:
        name: its address, ``/name``, and the name of its script.
        title: as the menu shows it.
        icon: a Material icon of Streamlit, ``:material/...:``.
        folder: where its script is.
    """

    name: str
    title: str
    icon: str
    folder: Path = FOLDER

    @property
    def script(self) -> Path:
        """The file that draws it."""
        return self.folder / f"{self.name}.py"


PAGES: Final[Registry[PageEntry]] = Registry(
    "a page",
    (
        PageEntry("explore", "Explore", ":material/show_chart:"),
        PageEntry("prune", "Prune", ":material/content_cut:"),
        PageEntry("compare", "Compare", ":material/balance:"),
        PageEntry("sweep", "Sweep", ":material/grid_on:"),
        PageEntry("export", "Export", ":material/download:"),
        PageEntry("runs", "Runs", ":material/history:"),
        PageEntry("learn", "Learn", ":material/school:"),
    ),
)
