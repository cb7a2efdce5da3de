"""Tables as plain data."""

from __future__ import annotations

from typing import Any

import pandas as pd


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A mapping for each row, with None for NaN, which JSON cannot represent."""
    return [
        {
            str(name): None if isinstance(value, float) and value != value else value
            for name, value in row.items()
        }
        for row in table.to_dict("records")
    ]
