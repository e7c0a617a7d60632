"""`python -m cli` is `nielsgpt`: for launchers that start a module, as torchrun does."""

import os
import sys


def leave_current_folder() -> None:
    """Import nothing from the current folder, which `-m` puts first, unless it is the checkout."""
    checkout = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    if os.getcwd() != checkout:
        sys.path[:] = [path for path in sys.path if path not in ("", os.getcwd())]


if __name__ == "__main__":
    leave_current_folder()
    from cli.main import main

    main()
