"""The parts of the Compare page: its four tabs, and what they share."""
