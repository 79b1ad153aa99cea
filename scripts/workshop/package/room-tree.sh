# shellcheck shell=bash
# Builds the content of vigie-room.deb: the programs of the room, their units, and the set-up files of a room. Sourced by
# scripts/package; needs `root`, the built checkout, and the requirements of scripts/workshop/package/release-tree.sh.

make_room_tree() { # ARCH DIR MODULES
  local arch=$1 tree=$2 lib=$2/usr/lib/vigie-room share=$2/usr/share/vigie-room doc=$2/usr/share/doc/vigie-room
  local room=$root/scripts/products/room addon
  rm -rf -- "$tree"
  mkdir -p "$lib" "$share" "$doc/examples/broker" "$tree"/usr/{bin,share/man/man1} \
    "$tree"/usr/lib/{systemd/system,sysusers.d,tmpfiles.d}
  node "$root/dist/scripts/workshop/package/room.js" "$lib" "$3"
  node "$root/dist/scripts/workshop/package/modules.js" "$lib" "$(npm_cpu_of "$arch")"
  for addon in "$lib"/node_modules/*/build/Release/*.node; do
    "$(triple_of "$arch")-strip" --strip-unneeded --remove-section=.note.gnu.build-id "$addon"
  done
  mv -- "$lib/vigie-room.1" "$tree/usr/share/man/man1/"
  cp -- "$room/vigie-room" "$tree/usr/bin/vigie-room"
  cp -- "$room"/systemd/*.{service,path} "$tree/usr/lib/systemd/system/"
  cp -- "$room/systemd/vigie-room.sysusers.conf" "$tree/usr/lib/sysusers.d/vigie-room.conf"
  cp -- "$room/systemd/vigie-room.tmpfiles.conf" "$tree/usr/lib/tmpfiles.d/vigie-room.conf"
  # Files for other programs: schemas, and rules of Prometheus, which can refer to them by path.
  cp -- "$root"/docs/ref/*.{json,yaml} "$root"/docs/guide/prometheus-*.yaml "$root"/docs/guide/*.json "$share/"
  cp -- "$room"/examples/* "$doc/examples/"
  cp -r -- "$room"/broker/* "$doc/examples/broker/"
  cp -r -- "$room/failover" "$doc/examples/"
  cp -- "$root/NOTICE" "$doc/"
  cp -- "$root"/docs/guide/{console,room,archive,broker,database-failover,enrolment,fleet-metrics,search,authorisation,journal}.md "$doc/"
  find "$tree" -type d -exec chmod 0755 {} +
  find "$tree" -type f -exec chmod 0644 {} +
  chmod 0755 "$tree/usr/bin/vigie-room"
}
