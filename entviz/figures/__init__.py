"""Make plotly figures from tables. Nothing in this package measures, loads models or uses Streamlit.

::

    from entviz.figures import depth
    depth.entropy_curve(analysis, "knn").write_html("curve.html")
"""
