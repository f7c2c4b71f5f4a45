"""`python -m agent`: the same program as `dockferry`."""

import sys

from agent.cli import main

sys.exit(main())
