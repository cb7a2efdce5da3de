"""Words and numbers in text that people read."""
