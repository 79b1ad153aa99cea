# shellcheck shell=bash
# Common start of the programs of scripts/. Sourced by them; needs `root`, the checkout.

refuse() {
  printf '%s: %s (see --help)\n' "${0##*/}" "$1" >&2
  exit 2
}

# Sets up this checkout (see scripts/setup). It ends with its caller, because a shell that is killed while it waits does
# not pass the signal on.
set_up() { # PURPOSE
  setpriv --pdeathsig TERM -- "$root/scripts/setup" --for "$1"
}
