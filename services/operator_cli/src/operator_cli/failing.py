"""How commands end when they cannot do what they were told: with what to do about it, and an exit code."""

from enum import IntEnum


class Exit(IntEnum):
    DONE = 0
    NOT_ALL = 1
    """Something was refused, or a check failed."""
    USAGE = 2
    """The command line or the settings are wrong; what Click ends with as well."""
    NOT_ALLOWED = 3
    """The platform does not know the key."""
    UNREACHABLE = 4
    """The platform does not answer, or cannot just now."""


class Failed(Exception):
    """What went wrong, in words for whoever typed the command."""

    def __init__(self, what: str, code: Exit = Exit.NOT_ALL, problem: str = "") -> None:
        super().__init__(what)
        self.code = code
        self.problem = problem
        """The platform's own code for it, where it has told one."""
