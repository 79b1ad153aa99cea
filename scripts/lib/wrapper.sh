# shellcheck shell=bash
# What the programs of scripts/ do before they do anything else. Sourced by them; needs `root`, the checkout.

# Answers --help with the usage of the command that is named, refuses what the usage does not name, and returns for the rest.
#
#   check_arguments USAGE-FILE ARGUMENT...
#
# The usage is what the program itself says to --help, then what each command says, and the commands of a command
# (`npm run docs` writes it), so that it can be read before the program is built. Values are judged by the program.
check_arguments() {
  local usage=$1 path='' part option asked='' takes words
  shift
  for option in "$@"; do
    case $option in -h | --help) asked=1 ;; esac
  done
  part=$(usage_of "$usage" '')
  # What it takes besides options: `Usage: PROGRAM COMMAND [options] <site> <box>`.
  words=''
  while [ $# -gt 0 ]; do
    option=${1%%=*}
    if [ -n "$asked" ] && [[ $1 == -* ]]; then
      shift
    elif [[ $option =~ ^--[a-z][a-z-]*$ ]] && takes=$(option_line "$option" "$part" "$usage"); then
      shift_value "$takes" "$@"
      shift "$shifted"
    elif grep -Fxq -- "$1" <<<"$(commands_in "$part")" && [ -n "$1" ]; then
      path="$path $1"
      part=$(usage_of "$usage" "$path")
      words=$(sed -n '1s/^Usage: .* \[options\]//p' <<<"$part")
      shift
    elif [[ $1 != -* ]] && [[ $words =~ ^\ *[\<\[][a-z]+(\.\.\.)?[]\>](.*)$ ]]; then
      # One that takes several takes all that come.
      [ -n "${BASH_REMATCH[1]}" ] || words=${BASH_REMATCH[2]}
      shift
    elif [ -n "$asked" ]; then
      shift
    else
      refuse "unknown argument '$1'"
    fi
  done
  if [ -n "$asked" ]; then
    printf '%s\n' "$part"
    exit 0
  fi
  part=$(commands_in "$part")
  [ -z "$part" ] || refuse "name one of ${part//$'\n'/, }"
}

# What the usage says of an option: the command's own, else any command's.
option_line() { # OPTION PART USAGE-FILE
  local line="^  (-[a-zA-Z], )?$1( |$)"
  grep -Em1 -- "$line" <<<"$2" || grep -Em1 -- "$line" "$3"
}

# How many arguments belong to the option in front, itself included, into `shifted`: a value is behind `=` or the next
# word; one that takes several takes all words up to the next option.
shift_value() { # USAGE-LINE OPTION ARGUMENT...
  local takes=$1 option=$2
  shift 2
  shifted=1
  [[ $takes =~ ^[^\<]*--[a-z-]+\ \<[^\>]*\> ]] && [[ $option != *=* ]] || return 0
  [ $# -ge 1 ] || refuse "$option needs a value"
  shifted=2
  [[ $takes =~ ^[^\<]*\<[^\>]*\.\.\.\> ]] || return 0
  while shift && [ $# -gt 0 ] && [[ $1 != -* ]]; do shifted=$((shifted + 1)); done
}

# The part of it that is about one command: `PATH` is empty, or ` COMMAND`, or ` COMMAND COMMAND`.
usage_of() { # USAGE-FILE PATH
  awk -v path="$2" '
    /^Usage: / {
      if (program == "") { program = $0; sub(/ \[.*/, "", program) }
      wanted = index($0, program path " [") == 1
    }
    wanted' "$1"
}

commands_in() { # USAGE
  sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z-]*\).*/\1/p' <<<"$1"
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
