"""The version of entviz, which is stated only here."""

__version__ = "0.2.0"
