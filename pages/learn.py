"""Learn: what is measured and why, from the residual stream to the two stages, with exercises for the Prune page."""

from typing import TYPE_CHECKING, Final

import streamlit as st

from entviz.estimators import default_entropies
from entviz.figures import depth, lesson_stream, reading, theme
from entviz.lessons import cliff
from entviz.words.metrics import metric_title
from pages.parts.learn import estimators
from pages.parts.shared import analysis_view, frame, provenance, selection

if TYPE_CHECKING:
    from entviz.analysis import Analysis

PLACE: Final = "learn"
CHAPTERS: Final = (
    ("stream", "The residual stream"),
    ("spread", "Entropy is spread"),
    ("bucket", "Counting: bucket"),
    ("knn", "Distances: KNN"),
    ("renyi", "Similarities: Rényi"),
    ("cosine", "Directions: cosine"),
    ("stages", "Two stages, on a model"),
    ("exercises", "Three exercises"),
)
GONE: Final = {"nothing": (), "attn.i": ("attn",), "mlp.i": ("mlp",), "layer.i": ("attn", "mlp")}


def draw() -> None:
    frame.require()
    st.header("Learn: from hidden states to two stages", anchor=False)
    st.markdown(
        # Titles that do not break: a line ends between two of them.
        " · ".join(
            f"[{number} {title}](#{name})".replace(" ", chr(0xA0))
            for number, (name, title) in enumerate(CHAPTERS, start=1)
        )
    )
    _draw_title("stream")
    _draw_stream()
    _draw_title("spread")
    _draw_spread()
    for name, draw_demonstration in (
        ("bucket", estimators.draw_bucket),
        ("knn", estimators.draw_neighbours),
        ("renyi", estimators.draw_similarities),
        ("cosine", estimators.draw_turn),
    ):
        _draw_title(name)
        draw_demonstration()
    _draw_title("stages")
    _draw_model()


def _draw_title(name: str) -> None:
    number = [chapter for chapter, _ in CHAPTERS].index(name) + 1
    st.subheader(f"{number}. {dict(CHAPTERS)[name]}", anchor=name, divider="gray")


@st.fragment
def _draw_stream() -> None:
    st.markdown(
        "A decoder turns each token into a vector, its **hidden state**, and carries it from layer to layer along "
        "the **residual stream**. A **layer** holds two **blocks**: an attention and an MLP. Each reads the stream "
        "and *adds* its output to it. A **site** is a point where we read the stream: once at the embedding, then "
        "after every block."
    )
    gone = st.segmented_control(
        "Drop",
        list(GONE),
        default="nothing",
        required=True,
        key="learn.stream.gone",
        persist_state="session",
    )
    st.plotly_chart(
        lesson_stream.layer(GONE[gone]),
        key="learn.figure.stream",
        config=theme.export_config("entviz-learn-layer") | {"displayModeBar": False},
        alt=f"One layer: attention and MLP add to the residual stream between three sites. Dropped: {gone}.",
    )
    st.caption(
        "Since blocks only add, a dropped one leaves a stream that the next block can still read: that is why "
        "pruning works at all. In models whose attention and MLP run in parallel (GPT-NeoX, Falcon, Phi), the site "
        "attn.i is the layer's input plus the attention's output."
    )


def _draw_spread() -> None:
    st.markdown(
        "At one site, a **window** of $n$ tokens is $n$ vectors: a cloud of points $X$. Its entropy $H(X)$ says how "
        "spread out the cloud is. All tokens in one spot: low, each tells no more than the next. Tokens all over the "
        "place: high. Nobody knows the distribution behind the points, so an entropy must be *estimated* from them, "
        "and each estimator sees something else. The next three chapters let you break them; the fourth is about "
        "direction: no entropy, but the measure that entropies compete with. Entropies are in **nats** "
        "(natural logarithm)."
    )


def _draw_model() -> None:
    st.markdown(
        "What a block does to the spread is the difference between the sites around it, its **entropy increase**:"
    )
    st.latex(r"\Delta H(\text{block}) = H(\text{site after}) - H(\text{site before})")
    st.markdown(
        "Where entropy falls with depth and then rises, its lowest point is the **turning point**: before it the "
        "model *compresses* (stage 1), after it it *enriches* (stage 2). Whether a model has these two stages is "
        "a question for a measurement, and may depend on the estimator:"
    )
    chosen = selection.current()
    shown = analysis_view.show(chosen, PLACE)
    if shown.result is not None:
        _draw_curve(shown.result, shown.about, shown.fresh)
    elif not shown.failed:
        st.skeleton(height=depth.CURVE_HEIGHT)
    _draw_title("exercises")
    if shown.result is not None and shown.fresh:
        from pages.parts.learn import exercises

        exercises.draw(shown.result, chosen)
    else:
        st.caption("The exercises come with the measurement: their blocks are chosen by it.")


def _draw_curve(analysis: "Analysis", about: selection.Selection, fresh: bool) -> None:
    metric = st.segmented_control(
        "Estimator",
        default_entropies(),
        default=default_entropies()[0],
        format_func=metric_title,
        required=True,
        key="learn.metric",
        persist_state="session",
    )
    st.markdown(f"**{reading.headline(analysis, default_entropies())}**")
    said = reading.sentence(analysis, metric, ("attn", "mlp"))
    st.markdown(said)
    st.plotly_chart(
        depth.entropy_curve(analysis, metric),
        key="learn.figure.curve",
        config=theme.export_config(f"entviz-{metric}-entropy"),
        alt=said,
    )
    steep = cliff.cliff(analysis)
    if metric == "bucket" and steep is not None:
        st.info(cliff.sentence(steep), icon=":material/search:")
    on = provenance.on(analysis.model, about.text_title, analysis.windows, analysis.window_length)
    st.caption(provenance.sentence(on, fresh))
    provenance.draw_notes(analysis.notes)


draw()
