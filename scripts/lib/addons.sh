# shellcheck shell=bash
# Compiles the two addons in node_modules of the current folder, beside each other. Sourced by the scripts of the set-up
# and of the package.

compile_addons() {
  local sqlite status=0
  npm rebuild --foreground-scripts better-sqlite3 &
  sqlite=$!
  npm rebuild --foreground-scripts node-gstreamer-superficial || status=$?
  wait "$sqlite" || status=$?
  return "$status"
}
