"""Tables in, plotly figures out: nothing here measures, loads or knows Streamlit.

::

    from entviz.figures import depth
    depth.entropy_curve(analysis, "knn").write_html("curve.html")
"""
