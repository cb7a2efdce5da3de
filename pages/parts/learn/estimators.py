"""The Learn page's four demonstrations: one estimator each, on a small sample that sliders change.

Each is a fragment, so a slider redraws its own demonstration and nothing else. torch is imported inside them: the top
of the page is on the screen before.
"""

import math
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from entviz.figures import lesson_estimators as figures
from entviz.figures import theme
from entviz.lessons import samples
from entviz.words.phrases import number

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

VALUES: Final = 256
POINTS: Final = 60
COMPARED: Final = 48  # few enough to see single cells, and divisible by every number of groups
SPREADS: Final = (0.5, 0.75, 1.0, 1.5, 2.0)
FARTHEST: Final = 200
FIRST_SEED: Final = 1


@st.fragment
def draw_bucket() -> None:
    from entviz.lessons import demonstrations

    words, picture = _columns()
    with words:
        st.markdown(
            "Take one dimension of the hidden states. Cut the range from its smallest to its largest value into "
            "$B$ buckets of equal width, and count. With $p_b$ the share of tokens in bucket $b$:"
        )
        st.latex(r"H = -\sum_{b=1}^{B} p_b \log p_b \;\le\; \log B")
        st.caption("A model has many dimensions: its bucket entropy is the sum of theirs.")
        shape = st.segmented_control(
            "Shape of the values",
            samples.SHAPES,
            default=samples.SHAPES[0],
            format_func=str.capitalize,
            required=True,
            **_kept("bucket.shape"),
        )
        buckets = st.slider("Number of buckets B", 2, 60, 20, **_kept("bucket.buckets"))
        spread = st.select_slider(
            "Spread (standard deviation)", SPREADS, 1.0, format_func=_plain, **_kept("bucket.spread")
        )
        far = st.slider(
            "One token far out, at",
            0,
            FARTHEST,
            0,
            format="%d deviations",
            help="0: no such token.",
            **_kept("bucket.far"),
        )
        seed = _draw_sample_button("bucket")
    sample = samples.line(shape, VALUES, seed, far=float(far) if far else None)
    shown = demonstrations.histogram(spread * sample, buckets)
    with picture:
        _draw_numbers(
            ("Entropy H", f"{shown.entropy:.3f} nats"),
            ("Ceiling log B", f"{shown.ceiling:.3f} nats"),
            ("Share of the ceiling", f"{shown.entropy / shown.ceiling:.0%}"),
        )
        _draw_figure(
            figures.histogram(shown),
            "bucket",
            f"Histogram of {VALUES} values in {buckets} buckets; entropy {shown.entropy:.3f} nats of at most "
            f"{shown.ceiling:.3f}.",
        )
    st.info(
        "**Try:** change the spread. The edges move along and H stays: a bucket entropy sees the *shape* of the "
        "values, not their size. Then put one token far out: all others share a few buckets, and H collapses "
        "although only one token of 256 has changed.",
        icon=":material/experiment:",
    )


@st.fragment
def draw_neighbours() -> None:
    from entviz.lessons import demonstrations

    words, picture = _columns()
    with words:
        st.markdown(
            "Let $r_k$ be a token's distance to its $k$-th nearest other token. Tokens that lie far apart have "
            "large $r_k$, whatever the direction. With $n$ tokens of $d$ dimensions:"
        )
        st.latex(
            r"H = d\;\overline{\log r_k} + \tfrac{d}{2}\log\pi - \log\Gamma\!\left(\tfrac{d}{2}+1\right)"
        )
        st.latex(r"\qquad {} + \log n - \log k")
        st.caption(f"Here n = {POINTS} tokens of d = 2 dimensions; the bar is the mean over tokens.")
        k = st.slider("Neighbour k", 1, 30, 5, **_kept("knn.k"))
        spread = st.select_slider("Spread c", SPREADS, 1.0, format_func=_plain, **_kept("knn.spread"))
        chosen = st.slider("Token whose radius stands out", 0, POINTS - 1, 15, **_kept("knn.token"))
        seed = _draw_sample_button("knn")
    sample = samples.plane(POINTS, seed)
    plain = demonstrations.neighbours(sample, k)
    shown = demonstrations.neighbours(spread * sample, k)
    with picture:
        _draw_numbers(
            ("Entropy H(cX)", f"{number(shown.entropy)} nats"),
            ("At spread 1, H(X)", f"{number(plain.entropy)} nats"),
            (f"Radius of token {chosen}", f"{shown.radii[chosen]:.3f}"),
        )
        _draw_figure(
            figures.neighbours(shown, chosen),
            "knn",
            f"{POINTS} points, each with a circle that reaches its neighbour number {k}; that of token {chosen} "
            f"has radius {shown.radii[chosen]:.3f}. Entropy {shown.entropy:.2f} nats.",
        )
        measured, predicted = shown.entropy - plain.entropy, 2 * math.log(spread)
        st.latex(rf"H(cX) - H(X) = {shown.entropy:.3f} - {plain.entropy:.3f} = {measured:.3f}")
        st.latex(rf"d \log c = 2 \log {spread:g} = {predicted:.3f}")
    st.info(
        "**Try:** double the spread. Every radius doubles, and H grows by $d \\log c$: unlike the bucket entropy, "
        "this one sees *size*. A residual stream that grows from layer to layer has a KNN entropy that grows. It "
        "can also be negative: it is a differential entropy.",
        icon=":material/experiment:",
    )


@st.fragment
def draw_similarities() -> None:
    from entviz.lessons import demonstrations

    words, picture = _columns(2.0)
    with words:
        st.markdown(
            "Compare all pairs of tokens. $K_{ij}$ is 1 where two tokens are the same and falls to 0 with their "
            r"distance, on the scale $\sigma$ of the median distance; every dimension is standardized first."
        )
        st.latex(r"K_{ij} = \exp\!\left(-\frac{\lVert x_i - x_j\rVert^2}{2\sigma^2}\right)")
        st.latex(r"H_\alpha = \frac{1}{1-\alpha}\,\log\Big(\frac{1}{n^2}\sum_{i,j} K_{ij}^{\,\alpha-1}\Big)")
        alpha = st.slider(
            "Order α",
            1.5,
            8.0,
            4.0,
            0.5,
            help="The charts of this dashboard use 4. At 1 the formula is another one: the mean Shannon entropy of "
            "the kernel's normalized rows.",
            **_kept("renyi.alpha"),
        )
        groups = st.slider("Groups of tokens", 1, 4, 3, **_kept("renyi.groups"))
        apart = st.slider(
            "Distance between groups", 0.0, 10.0, 5.0, 0.5, format="%g deviations", **_kept("renyi.apart")
        )
        seed = _draw_sample_button("renyi")
    sample, group = samples.groups(COMPARED, seed, groups, apart)
    shown = demonstrations.similarities(sample, alpha)
    with picture:
        _draw_numbers(
            ("Entropy H", f"{shown.entropy:.4f} nats"),
            ("Mean similarity K", f"{shown.kernel.mean():.3f}"),
            ("Scale σ", f"{shown.scale:.2f}"),
        )
        left, right = st.columns([5, 6], gap="small")
        with left:
            _draw_figure(
                figures.points(shown, group), "renyi-points", f"{COMPARED} tokens in {groups} groups."
            )
        with right:
            _draw_figure(
                figures.kernel(shown),
                "renyi",
                f"Similarities of all pairs of {COMPARED} tokens to the power {alpha - 1:g}; Rényi entropy "
                f"{shown.entropy:.4f} nats.",
            )
    st.info(
        "**Try:** raise α. Only the nearest pairs still count, and H cannot rise. Then pull the groups apart: "
        "similar tokens form bright squares. Scaling all tokens at once would change nothing, since σ grows along.",
        icon=":material/experiment:",
    )


@st.fragment
def draw_turn() -> None:
    from entviz.lessons import demonstrations

    words, picture = _columns()
    with words:
        st.markdown(
            "Cosine importance is no entropy. It compares a token's hidden state before a block, $x$, with the one "
            "after it, $y$: that is $x$ plus what the block adds."
        )
        st.latex(r"1 - \cos\theta = 1 - \frac{x \cdot y}{\lVert x\rVert\,\lVert y\rVert}")
        st.caption("A block's importance is the mean over tokens: 0 where nothing turns, 1 at right angles.")
        direction = st.slider(
            "Direction of what is added", -180, 180, 70, 5, format="%d°", **_kept("turn.direction")
        )
        length = st.slider(
            "Length of what is added", 0.0, 2.0, 0.8, 0.05, format="%g × length of x", **_kept("turn.length")
        )
    shown = demonstrations.turn(direction, length)
    angle = "none" if shown.angle != shown.angle else f"{shown.angle:.1f}°"
    with picture:
        _draw_numbers(
            ("Angle θ", angle),
            ("Importance 1 − cos θ", f"{shown.importance:.3f}"),
            ("Length of y", f"{float((shown.after**2).sum()) ** 0.5:.2f}"),
        )
        _draw_figure(
            figures.turn(shown),
            "cosine",
            f"The vector x, what is added, and their sum y, at an angle of {angle}; importance "
            f"{shown.importance:.3f}.",
        )
    st.info(
        "**Try:** add a long vector at 0°. The state doubles or triples, and its importance is 0: a cosine does "
        "not see length. A block that only stretches the stream raises KNN entropy and leaves importance at 0.",
        icon=":material/experiment:",
    )


def _columns(picture_share: float = 1.5) -> "tuple[DeltaGenerator, DeltaGenerator]":
    words, picture = st.columns([1, picture_share], gap="large")
    return words, picture


def _kept(name: str) -> dict[str, Any]:
    """A widget's key, and that its value outlives the page."""
    return {"key": f"learn.{name}", "persist_state": "session"}


def _draw_sample_button(name: str) -> int:
    """A button that draws another sample; returns the seed of the one to show."""
    key = f"learn.seed.{name}"
    st.button(
        "Another sample",
        key=f"learn.{name}.another",
        icon=":material/casino:",
        on_click=_draw_another,
        args=(key,),
    )
    return int(st.session_state.get(key, FIRST_SEED))


def _draw_another(key: str) -> None:
    st.session_state[key] = st.session_state.get(key, FIRST_SEED) + 1


def _draw_numbers(*numbers: tuple[str, str]) -> None:
    with st.container(horizontal=True, gap="medium"):
        for label, value in numbers:
            st.metric(label, value, width="content")


def _draw_figure(figure: Any, name: str, alt: str) -> None:
    st.plotly_chart(
        figure, key=f"learn.figure.{name}", config=theme.export_config(f"entviz-learn-{name}"), alt=alt
    )


def _plain(value: float) -> str:
    return f"{value:g}"
