# shellcheck shell=bash
# Compiles the addons of the current folder, beside each other: SQLite's and GStreamer's in node_modules, and our own.
# Sourced by the scripts of the set-up and of the package.

compile_addons() {
  local sqlite own status=0
  npm rebuild --foreground-scripts better-sqlite3 &
  sqlite=$!
  npm run native &
  own=$!
  npm rebuild --foreground-scripts node-gstreamer-superficial || status=$?
  wait "$sqlite" || status=$?
  wait "$own" || status=$?
  return "$status"
}
