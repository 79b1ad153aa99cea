# shellcheck shell=bash
# What the programs of scripts/ do before they do anything else. Sourced by them; needs `root`, the checkout.

# Answers --help with the program's usage, refuses what the usage does not name, and returns for the rest.
#
#   check_arguments USAGE-FILE ARGUMENT...
#
# The usage is what the program itself says to --help (`npm run docs` writes it), so that it can be read before the
# program is built. Values are judged by the program.
check_arguments() {
  local usage=$1 commands command='' option words=()
  shift
  for option in "$@"; do
    case $option in -h | --help) cat -- "$usage"; exit 0 ;; esac
  done
  commands=$(sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z-]*\).*/\1/p' "$usage")
  while [ $# -gt 0 ]; do
    option=${1%%=*}
    if [[ $option =~ ^--[a-z][a-z-]*$ ]] && grep -Eq -- "^  (-[a-zA-Z], )?$option( |$)" "$usage"; then
      # An option with a value has it behind `=` or as the next word.
      if grep -Eq -- "^  (-[a-zA-Z], )?$option <" "$usage" && [[ $1 != *=* ]]; then
        [ $# -ge 2 ] || refuse "$option needs a value"
        shift
      fi
    elif [ -z "$command" ] && grep -Fxq -- "$1" <<<"$commands" && [ -n "$1" ]; then
      command=$1
      # What it takes besides options: `Usage: PROGRAM COMMAND [options] <site> <box>`.
      read -r -a words < <(sed -n "s/^Usage: .* $command \[options\]//p" "$usage" && echo)
    elif [ ${#words[@]} -gt 0 ] && [[ $1 != -* ]]; then
      words=("${words[@]:1}")
    else
      refuse "unknown argument '$1'"
    fi
    shift
  done
  [ -z "$commands" ] || [ -n "$command" ] || refuse "name one of ${commands//$'\n'/, }"
}

refuse() {
  printf '%s: %s (see --help)\n' "${0##*/}" "$1" >&2
  exit 2
}

# The set-up of this checkout (scripts/setup says for what). It ends with its caller: a shell that is killed while it
# waits does not hand the signal on.
set_up() { # PURPOSE
  setpriv --pdeathsig TERM -- "$root/scripts/setup" --for "$1"
}
