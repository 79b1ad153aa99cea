"""Progress for a person at a terminal; a pipe gets the result only."""
import sys


def say(text):
    """A line, on a terminal."""
    if sys.stdout.isatty():
        print(text)


class Progress:
    """A counter on one line of the terminal."""

    def __init__(self, text, total):
        self._text, self._total, self._done = text, total, 0

    def tick(self):
        self._done += 1
        if sys.stdout.isatty():
            end = "\n" if self._done == self._total else ""
            print(f"\r{self._text} {self._done}/{self._total}", end=end, flush=True)
