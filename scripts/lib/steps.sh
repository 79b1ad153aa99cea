# shellcheck shell=bash
# Runs long steps with a progress line. Sourced by the programs of scripts/; needs STEP_LOG, a file for the steps' output.
#
#   step NAME HINT COMMAND [ARGUMENT...]
#
# Runs COMMAND (a program or a function) with its output in STEP_LOG. A terminal shows a spinner, the seconds and
# the newest line of the output; a pipe gets one line when the step is over. On failure the last lines are shown
# with HINT (the suggested fix), and the command's status is returned.

step_pid=
step_lines=15

# Ctrl-C and TERM end the process group of the running step before the program itself. A process that ignores TERM for
# 5 s is killed.
step_interrupted() {
  local tenths
  trap '' INT TERM
  if [ -n "$step_pid" ]; then
    kill -TERM -- "-$step_pid" 2>/dev/null || true
    for ((tenths = 0; tenths < 50; tenths++)); do
      kill -0 -- "-$step_pid" 2>/dev/null || break
      sleep 0.1
    done
    kill -KILL -- "-$step_pid" 2>/dev/null || true
    wait "$step_pid" || true
  fi
  [ ! -t 2 ] || printf '\r\033[K' >&2
  printf '%s: interrupted\n' "${0##*/}" >&2
  exit 130
}

step_draw() { # NAME FRAME SECONDS LOG-OFFSET
  local columns newest line
  columns=$(tput cols 2>/dev/null || echo 80)
  newest=$(tail -c "+$(($4 + 1))" -- "$STEP_LOG" | tail -c 500 | tr '\r' '\n' | tr -cd '\n\40-\176' | awk '/[^ ]/ { line = $0 } END { print line }')
  line="$2 $1  $3 s  $newest"
  printf '\r\033[K%s' "${line:0:columns-1}" >&2
}

step() {
  local name=$1 hint=$2 began=$SECONDS from status=0 frames='|/-+' turn=0
  shift 2
  printf '\n== %s: %s\n' "$name" "$*" >>"$STEP_LOG"
  from=$(wc -c <"$STEP_LOG")
  trap step_interrupted INT TERM
  set -m # its own process group, so that all of it can be ended; the terminal stays, for sudo's memory of it
  "$@" </dev/null >>"$STEP_LOG" 2>&1 &
  step_pid=$!
  set +m
  if [ -t 2 ]; then
    while kill -0 "$step_pid" 2>/dev/null; do
      step_draw "$name" "${frames:turn++%4:1}" $((SECONDS - began)) "$from"
      sleep 0.25
    done
    printf '\r\033[K' >&2
  fi
  wait "$step_pid" || status=$?
  step_pid=
  trap - INT TERM
  if [ "$status" -eq 0 ]; then
    printf '%s: done in %s s\n' "$name" $((SECONDS - began)) >&2
    return 0
  fi
  printf '%s: FAILED after %s s (status %s). Its last lines, of %s:\n' \
    "$name" $((SECONDS - began)) "$status" "$STEP_LOG" >&2
  tail -c "+$((from + 1))" -- "$STEP_LOG" | tail -n "$step_lines" |
    sed 's/\x1b\[[0-9;]*m//g; s/^/    /' >&2 # some programs colour a file too
  printf 'What to do: %s\n' "$hint" >&2
  return "$status"
}
