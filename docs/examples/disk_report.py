"""Reports the free space of a disk and fails when it runs low. The second worked example of docs/tasks.md.

    python -m disk_report PATH [--least-gb 1.0]

Exit codes: 0 there is room, 1 there is less than asked for, 2 the arguments cannot be used.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    """Print the free space of PATH in GB (10^9 bytes), write the result file, return the exit code."""
    parser = argparse.ArgumentParser(description="Report the free space of a disk.")
    parser.add_argument("path", type=Path, help="a folder on the disk")
    parser.add_argument("--least-gb", type=float, default=1.0, help="fail below this many GB")
    options = parser.parse_args(arguments)
    if not options.path.exists():
        parser.error(f"there is no folder {options.path}")
    free_gb = shutil.disk_usage(options.path).free / 1e9
    print(f"{options.path}: {free_gb:.1f} GB free, at least {options.least_gb:g} wanted")
    # One JSON object; it is kept with the run. Outside the daemon there is nowhere to write it.
    result = os.environ.get("ORCHESTRATOR_RESULT")
    if result:
        Path(result).write_text(json.dumps({"free_gb": round(free_gb, 1)}), encoding="utf-8")
    return 0 if free_gb >= options.least_gb else 1


if __name__ == "__main__":
    sys.exit(main())
