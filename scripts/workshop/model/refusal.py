"""What a user can mend is told in one line, without a traceback."""
import sys


class Refusal(Exception):
    """The message says what is wrong, where, and what would be right."""


def note(text):
    """Something that was changed on the way and that the user should know, told in a pipe too."""
    print(f"model: note: {text}", file=sys.stderr)
