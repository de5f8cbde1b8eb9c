"""`python -m cluster.evidence [FOLDER]`: print the accuracy tables of a folder of evidence."""

from __future__ import annotations

import sys
from pathlib import Path

from cluster.evidence.report import report
from cluster.evidence.rows import OWN_FOLDER

DEFAULT_FOLDER = OWN_FOLDER


def main(arguments: list[str]) -> int:
    """Print the report; 2 when the folder does not exist."""
    folder = Path(arguments[0]) if arguments else DEFAULT_FOLDER
    if not folder.is_dir():
        sys.stderr.write(f"{folder} is not a folder. Name one that holds startup_logs.jsonl and its kin\n")
        return 2
    sys.stdout.write("\n".join(report(folder)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
