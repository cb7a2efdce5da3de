"""Performance figures, each beside a named baseline of the same run: ``python -m benchmarks``."""

import entviz  # noqa: F401  before torch: it says how torch's threads wait
