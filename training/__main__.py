"""Train in several processes: `torchrun --nproc-per-node N -m training CONFIG`."""

import argparse
import sys

from training.commands.train import add_arguments, run


def main() -> int:
    """Train, and return the exit status: 0 success, 1 failure, 2 wrong arguments."""
    parser = argparse.ArgumentParser(prog="python -m training", description="Train a network.")
    add_arguments(parser)
    try:
        return run(parser.parse_args())
    except (ValueError, OSError) as error:  # the user's input is wrong; the message says how
        sys.stderr.write(f"python -m training: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
