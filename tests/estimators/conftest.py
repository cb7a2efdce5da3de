from hypothesis import settings

# A test's time says nothing where processors are shared; the first example may compile kernels.
settings.register_profile("estimators", deadline=None, max_examples=25)
settings.load_profile("estimators")
