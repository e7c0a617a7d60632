"""`python -m cli` is `nielsgpt`: for launchers that start a module, as torchrun does."""

import os
import sys
from pathlib import Path


def leave_current_folder() -> None:
    """Import nothing from the current folder, which `-m` puts first, unless it is the checkout."""
    checkout = str(Path(__file__).resolve().parents[1])
    if os.getcwd() != checkout:
        sys.path[:] = [path for path in sys.path if path not in ("", os.getcwd())]


if __name__ == "__main__":
    leave_current_folder()
    from cli.main import main

    main()
