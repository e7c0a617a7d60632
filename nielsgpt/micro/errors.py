"""The errors a person can meet here: one line each, naming the thing, the value and the way out.

micro imports nothing from the rest of nielsgpt, so that the folder runs alone; the command line
turns these into the project's own.
"""


class MicroError(Exception):
    """Something the user can put right: a scenario, a file, a number."""

    exit_code = 2


class MicroRunError(MicroError):
    """A run that failed for a reason outside the user's input: no network, a loss of infinity."""

    exit_code = 1
