#!/bin/sh
# /usr/bin/vigie: runs the program of the current release. Root becomes the agent's user first, so that no code of a release
# ever runs as root. Tasks that need root are commands of vigie-root.
program=/usr/lib/vigie/current/dist/agent/cli/main.js
user=vigie
if [ ! -x "$program" ]; then
  echo "$program: no such program; run vigie-root status, which says which release this box should have" >&2
  exit 2
fi
[ "$(id -u)" -eq 0 ] || exec "$program" "$@"
groups=$(id -G "$user" | tr ' ' ,)
if [ -z "$groups" ]; then
  echo "user $user: not on this machine; run systemd-sysusers vigie.conf" >&2
  exit 2
fi
# `doctor` opens a camera, a decoder or an accelerator as vision does.
if [ "${1-}" = doctor ]; then
  for group in video render apex plugdev; do
    ! getent group "$group" >/dev/null || groups=$groups,$group
  done
fi
exec setpriv --reuid "$user" --regid "$user" --groups "$groups" --bounding-set -all --inh-caps -all --no-new-privs -- "$program" "$@"
