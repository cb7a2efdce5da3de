"""``python -m entviz``: the command line."""

import sys

from entviz.cli import main

sys.exit(main())
