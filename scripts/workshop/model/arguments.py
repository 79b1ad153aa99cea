"""Arguments of scripts/model's programs: what is wrong is one line and exit status 2."""
import argparse
import sys


class Arguments(argparse.ArgumentParser):
    def __init__(self, command, description):
        super().__init__(prog=f"scripts/model {command}", description=description, allow_abbrev=False)
        # As scripts/model asks before it fetches anything: a typing error must not cost a download.
        self.add_argument("--only-check", action="store_true", help=argparse.SUPPRESS)

    def place(self, *names, **more):
        """What scripts/model itself names, and nobody types."""
        for name in names:
            self.add_argument(name, required=True, help=argparse.SUPPRESS, **more)

    def error(self, message):
        refuse(message)


def refuse(text):
    print(f"model: {text} (see --help)", file=sys.stderr)
    sys.exit(2)
