"""Run the server, as `cxr serve` does: `python -m service`."""

import sys

from service.commands.serve import main

if __name__ == "__main__":
    sys.exit(main())
