"""The content of the Learn page as plain data: small samples, the estimators' results on them, and exercises.

::

    from entviz.lessons import demonstrations, samples
    demonstrations.histogram(samples.line("normal", 256, seed=1), buckets=20).entropy

Every entropy comes from :mod:`entviz.estimators`, the code that measures the model. This package only computes what the
pictures need: edges, radii, similarities, angles.
"""
