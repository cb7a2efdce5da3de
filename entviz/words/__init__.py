"""Words and numbers in text for readers."""

# A change here therefore leaves stored results valid: see entviz/store/source.py.
MAKES_NO_NUMBERS = True
