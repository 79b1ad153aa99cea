"""Sizes of pictures as a user gives them."""
import re
import sys

SIDE_MULTIPLE_PX, SIDE_MAX_PX = 32, 1920  # of what a model card takes


def size_of(text):
    """(width, height) of "416x256"; ends the program where it is none."""
    found = re.fullmatch(r"(\d{2,4})x(\d{2,4})", text)
    sides = tuple(int(side) for side in found.groups()) if found else (0, 0)
    if any(side % SIDE_MULTIPLE_PX or not SIDE_MULTIPLE_PX <= side <= SIDE_MAX_PX for side in sides):
        print(f"model: --input takes WIDTHxHEIGHT, multiples of 32 up to 1920 as in 416x256, not '{text}' (see --help)",
              file=sys.stderr)
        sys.exit(2)
    return sides
