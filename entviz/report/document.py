"""Write sections into one HTML file with interactive figures, tables and text. The file loads nothing.

    document("Entropy", "On the news passage", [Section("Curve", "It turns at layer 11.", figure=figure)])

The file follows the reader's light or dark setting. Its content security policy allows only what is inside the file, so
that neither a fault in entviz nor a text that a user typed can make it load anything.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files

import pandas as pd
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from entviz.figures.theme import export_config
from entviz.words.phrases import number

OPEN_ROWS = 30  # a longer table is folded
MOST_ROWS = 5000
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:; "
    "form-action 'none'; base-uri 'none'"
)
_CLEAR = "rgba(0,0,0,0)"


@dataclass(frozen=True)
class Section:
    """A part of a report. Attributes that are None or empty are left out; the others are shown in this order.

    Attributes:
        heading, text: plain text, which is escaped. An empty line in ``text`` begins a new paragraph.
        figure: a plotly figure.
        html: HTML made by entviz, such as ``figures.tokens.marked_text``; it is not escaped.
        table: a table. Its numbers are rounded to about four digits, and at most 5000 rows are shown.
        code: a command or a text to be shown unchanged.
        folded: whether ``code`` is folded at first.
        download: a file's name and content, offered below.
    """

    heading: str
    text: str = ""
    figure: go.Figure | None = None
    table: pd.DataFrame | None = None
    html: str = ""
    code: str = ""
    folded: bool = False
    download: tuple[str, str] | None = None


def document(title: str, subtitle: str, sections: Sequence[Section]) -> str:
    """The report as HTML: 5 MB and the data of the figures. Write it with ``Path.write_text(..., "utf-8")``."""
    drawn = any(section.figure is not None for section in sections)
    body = "".join(_section(section, index) for index, section in enumerate(sections))
    scripts = f"<script>{_plotly()}</script><script>{_part('figures.js')}</script>" if drawn else ""
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)} · entviz</title><style>{_part('report.css')}</style></head><body><main>"
        f"<header><h1>{escape(title)}</h1><p>{escape(subtitle)}</p></header>{body}</main>{scripts}</body></html>\n"
    )


def file_name(*words: str) -> str:
    """A name for a report's file, of letters and digits: ``entviz-analysis-smollm2-135m.html``."""
    plain = (re.sub(r"[^a-z0-9]+", "-", word.lower()).strip("-")[:40] for word in words)
    return "-".join(["entviz", *(word for word in plain if word)]) + ".html"


def _section(section: Section, index: int) -> str:
    parts = [f"<h2>{escape(section.heading)}</h2>"]
    parts += [f"<p>{escape(words)}</p>" for words in section.text.split("\n\n") if words.strip()]
    if section.figure is not None:
        parts.append(_figure(section.figure, section.heading, f"figure-{index}"))
    parts.append(section.html and f'<div class="marked">{section.html}</div>')
    if section.table is not None:
        parts.append(_table(section.table))
    if section.code:
        block = f"<pre>{escape(section.code)}</pre>"
        parts.append(f"<details><summary>Show</summary>{block}</details>" if section.folded else block)
    if section.download is not None:
        name, content = section.download
        data = base64.b64encode(content.encode()).decode()
        parts.append(
            f'<p><a download="{escape(name)}" href="data:text/plain;charset=utf-8;base64,{data}">'
            f"Save as {escape(name)}</a></p>"
        )
    return f"<section>{''.join(parts)}</section>"


def _figure(figure: go.Figure, heading: str, name: str) -> str:
    plain = go.Figure(figure).update_layout(template="none", paper_bgcolor=_CLEAR, plot_bgcolor=_CLEAR)
    data = json.loads(plain.to_json())
    data["config"] = export_config(file_name(heading).removesuffix(".html"))
    height = int(figure.layout.height or 400)
    return (
        f'<div class="figure" id="{name}" style="height:{height}px" role="img" aria-label="{escape(heading)}"></div>'
        f'<script type="application/json">{_in_script(json.dumps(data))}</script>'
    )


def _table(table: pd.DataFrame) -> str:
    shown = table.head(MOST_ROWS).to_html(
        index=False, escape=True, border=0, na_rep="", float_format=number, justify="left"
    )
    left_out = len(table) - MOST_ROWS
    if left_out > 0:
        shown += f"<p>{left_out:,} further rows are left out.</p>"
    if len(table) <= OPEN_ROWS:
        return f'<div class="wide">{shown}</div>'
    return f'<details><summary>{len(table):,} rows</summary><div class="wide">{shown}</div></details>'


def _in_script(text: str) -> str:
    """JSON that cannot end the script element around it, whatever text it contains."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@cache
def _plotly() -> str:
    return str(get_plotlyjs()).replace("</script", "<\\/script")


@cache
def _part(name: str) -> str:
    return (files("entviz.report") / name).read_text(encoding="utf-8")
