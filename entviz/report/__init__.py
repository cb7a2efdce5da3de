"""Reports: one HTML file that shows a result with nothing but a browser, and without a network.

    about = About("smollm2-135m", text, "the news passage")
    Path("analysis.html").write_text(of_analysis(analysis, about), encoding="utf-8")
    document("My view", "On the news passage", [Section("Curve", "What it shows.", figure=curve)])

The file contains everything: plotly.js once, the figures as data, the tables, and the measured text. All text is
escaped, and the file's policy does not allow it to load anything.
"""

from entviz.report.command import About
from entviz.report.comparing import of_angles, of_comparison, of_contrast
from entviz.report.damages import of_damages, of_token_damages
from entviz.report.document import Section, document, file_name
from entviz.report.generation import of_generation
from entviz.report.judging import of_interactions, of_trust
from entviz.report.ranking import of_ranking
from entviz.report.tasks import of_score
from entviz.report.unknown import unknown_kind
from entviz.report.views import of_analysis, of_evaluation, of_repaired_evaluation

__all__ = [
    "About",
    "Section",
    "document",
    "file_name",
    "of_analysis",
    "of_angles",
    "of_comparison",
    "of_contrast",
    "of_damages",
    "of_evaluation",
    "of_generation",
    "of_interactions",
    "of_ranking",
    "of_repaired_evaluation",
    "of_score",
    "of_token_damages",
    "of_trust",
    "unknown_kind",
]
