"""``python -m archmodel``."""

import sys

from archmodel.cli.main import run

if __name__ == "__main__":
    sys.exit(run())
