"""Words and numbers in text that people read."""

# So a change here leaves stored results valid: see entviz/store/source.py.
MAKES_NO_NUMBERS = True
