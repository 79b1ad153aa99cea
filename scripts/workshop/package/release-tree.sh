# shellcheck shell=bash
# Builds the folder of a release, in its form on a box below /usr/lib/vigie/releases. Sourced by scripts/package; needs
# `root`, the built checkout.

# Reproducible: the same commit gives the same bytes. Machine, earlier builds and time have no influence, and files are
# 0644 or 0755.
make_release() { # ARCH DIR MODULES SEQ
  local arch=$1 dir=$2 modules=$3 seq=$4 addon
  rm -rf -- "$dir"
  mkdir -p -- "$dir/dist"
  cp -r -- "$root/dist/agent" "$dir/dist/"
  without_stale "$dir/dist" "$root"
  cp -r --preserve=links -- "$root/models" "$modules/node_modules" "$dir/"
  cp -- "$root/package.json" "$dir/"
  make_vision_root "$arch" "$dir/vision-root"
  # A compiler leaves the name of its folder in an addon.
  for addon in "$dir"/node_modules/*/build/Release/*.node; do
    "$(triple_of "$arch")-strip" --strip-unneeded --remove-section=.note.gnu.build-id "$addon"
  done
  find "$dir" -type d -exec chmod 0755 {} +
  find "$dir" -type f -exec chmod 0644 {} +
  chmod 0755 "$dir/dist/agent/cli/main.js"
  node "$root/dist/scripts/workshop/package/release.js" "$dir" "$arch" "$seq"
}

# Builds a release of root's program, in its form below /usr/lib/vigie-root/releases: one file of code, for every
# architecture.
make_root_release() { # DIR COPYRIGHT SEQ
  local dir=$1 copyright=$2 seq=$3
  rm -rf -- "$dir"
  mkdir -p -- "$dir"
  node "$root/dist/scripts/workshop/package/bundle.js" root "$dir" "$copyright"
  find "$dir" -type d -exec chmod 0755 {} +
  find "$dir" -type f -exec chmod 0644 {} +
  node "$root/dist/scripts/workshop/package/release.js" "$dir" all "$seq"
}

# Leaves out stale output: the build never deletes files compiled from an earlier state of the sources.
without_stale() { # DIST SOURCES
  local file source
  find "$1" -name '*.js' -o -name '*.js.map' | while read -r file; do
    source=${file#"$1/"} source=$2/${source%.map} source=${source%.js}
    [ -e "$source.ts" ] || [ -e "$source.tsx" ] || rm -f -- "$file"
  done
}

# Builds the root folder of vigie-vision.service. It has every mount point, and the files that systemd would create in an
# empty root, because a release must stay as it was signed.
make_vision_root() { # ARCH DIR
  mkdir -p "$2"/{usr,proc,sys,dev,root,run/udev,tmp,var/tmp,var/cache/vigie-vision,var/lib/vigie-restraint}
  mkdir -p "$2"/etc/{alternatives,ld.so.conf.d}
  : >"$2/etc/ld.so.cache"
  : >"$2/etc/localtime"
  local name
  for name in resolv.conf hosts nsswitch.conf nv_tegra_release passwd group; do : >"$2/etc/$name"; done
  for name in bin sbin lib; do ln -s "usr/$name" "$2/$name"; done
  [ "$1" != amd64 ] || ln -s usr/lib64 "$2/lib64"
}

# Sequence number of a release: its number of commits.
seq_of_checkout() {
  if [ "$(git -C "$root" rev-parse --is-shallow-repository 2>/dev/null)" != false ]; then
    die 'the number of this release cannot be told (no git here, or a clone without its history): give it with --seq N'
  fi
  git -C "$root" rev-list --count HEAD
}
