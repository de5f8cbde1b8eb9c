"""`python -m tests.evidence [FOLDER [DOCUMENT]]`: print the accuracy tables of a folder of evidence.

With a document (ACCURACY.md) the table in it is brought up to date.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.evidence.document import update_document
from tests.evidence.report import report
from tests.evidence.rows import OWN_FOLDER

DEFAULT_FOLDER = OWN_FOLDER


def main(arguments: list[str]) -> int:
    """Print the report; 2 when the folder does not exist."""
    folder = Path(arguments[0]) if arguments else DEFAULT_FOLDER
    if not folder.is_dir():
        sys.stderr.write(f"{folder} is not a folder. Name one that holds startup_logs.jsonl and its kin\n")
        return 2
    lines = report(folder)
    sys.stdout.write("\n".join(lines) + "\n")
    if len(arguments) > 1 and update_document(Path(arguments[1]), lines):
        sys.stderr.write(f"{arguments[1]} is up to date again\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
