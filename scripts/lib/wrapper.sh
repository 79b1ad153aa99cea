# shellcheck shell=bash
# What the programs of scripts/ do before they do anything else. Sourced by them; needs `root`, the checkout.

refuse() {
  printf '%s: %s (see --help)\n' "${0##*/}" "$1" >&2
  exit 2
}

# The set-up of this checkout (scripts/setup says for what). It ends with its caller: a shell that is killed while it
# waits does not hand the signal on.
set_up() { # PURPOSE
  setpriv --pdeathsig TERM -- "$root/scripts/setup" --for "$1"
}
