"""Find the git revision of this checkout, for the card and the reports."""

import subprocess
from pathlib import Path


def code_revision() -> str:
    """Return this checkout's git revision, `-dirty` when it has changes, or "unknown"."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=Path(__file__).parent,
            capture_output=True,
            check=True,
            text=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return described.stdout.strip()
