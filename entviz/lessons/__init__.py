"""What the Learn page demonstrates, as plain data: small samples, what the estimators make of them, and exercises.

::

    from entviz.lessons import demonstrations, samples
    demonstrations.histogram(samples.line("normal", 256, seed=1), buckets=20).entropy

Every entropy comes from :mod:`entviz.estimators`, the code that measures the model; what is worked out here is only
what a picture of it needs: edges, radii, similarities, angles.
"""
