# shellcheck shell=bash
# Makes what packages are made of and what changes rarely: for each architecture the npm modules as they run there, and,
# where addons must be cross-compiled, Debian's headers and libraries. Sourced by the scripts of the set-up and of the
# package; needs `root`, the checkout, and the functions of steps.sh and addons.sh. They are in .cache/package.

triple_of() { case $1 in amd64) echo x86_64-linux-gnu ;; arm64) echo aarch64-linux-gnu ;; esac; }
npm_cpu_of() { case $1 in amd64) echo x64 ;; arm64) echo arm64 ;; esac; }

# Headers and libraries of Debian 13 for the target, unpacked and never run.
make_sysroot() { # ARCH DIR
  rm -rf -- "$2" "$2.new"
  mmdebstrap --variant=extract --architectures="$1" \
    --include=libc6-dev,libstdc++-14-dev,libnode-dev,libgstreamer1.0-dev,libgstreamer-plugins-base1.0-dev,libgstreamer-plugins-bad1.0-dev,libonnxruntime-dev \
    trixie "$2.new"
  local dir
  for dir in lib lib64; do
    if [ ! -e "$2.new/$dir" ] && [ -d "$2.new/usr/$dir" ]; then ln -s "usr/$dir" "$2.new/$dir"; fi
  done
  mv -- "$2.new" "$2"
}

# The addons of this checkout run on the target as they are: same Debian, same architecture, same node.
is_target() { # ARCH
  grep -q '^VERSION_CODENAME=trixie' /etc/os-release && [ "$(dpkg --print-architecture)" = "$1" ] &&
    [ "$(node -p process.versions.modules)" = 115 ]
}

cross_compile_addons() { # ARCH SYSROOT
  local triple cpu
  triple=$(triple_of "$1") cpu=$(npm_cpu_of "$1")
  CC="$triple-gcc --sysroot=$2" CXX="$triple-g++ --sysroot=$2" \
    PKG_CONFIG_SYSROOT_DIR=$2 PKG_CONFIG_LIBDIR=$2/usr/lib/$triple/pkgconfig:$2/usr/share/pkgconfig \
    npm_config_arch=$cpu npm_config_nodedir=$2/usr npm_config_build_from_source=true \
    compile_addons
}

# node_modules as they run on the target: prebuilt parts as npm has them, the addons compiled.
make_modules() { # ARCH DIR SYSROOT
  local arch=$1 dir=$2 sysroot=$3 cpu
  cpu=$(npm_cpu_of "$arch")
  rm -rf -- "$dir"
  mkdir -p "$dir/agent/vision"
  cp -r -- "$root/package.json" "$root/package-lock.json" "$root/.npmrc" "$root/patches" "$dir/"
  cp -r -- "$root/agent/vision/native" "$dir/agent/vision/"
  cd -- "$dir"
  npm ci --omit=dev --ignore-scripts --cpu="$cpu" --os=linux --libc=glibc
  "$root/node_modules/.bin/patch-package" --error-on-fail
  if is_target "$arch"; then
    local addon
    for addon in better-sqlite3 node-gstreamer-superficial vigie-native; do
      mkdir -p "node_modules/$addon/build/Release"
      cp -- "$root/node_modules/$addon"/build/Release/*.node "node_modules/$addon/build/Release/"
    done
  else
    cross_compile_addons "$arch" "$sysroot"
  fi
  # Our own addons as files: npm has linked their folder.
  rm -- node_modules/vigie-native
  mv -- agent/vision/native node_modules/vigie-native
  rm -r -- agent
  node "$root/dist/scripts/workshop/package/modules.js" "$dir" "$cpu"
  local machine
  machine=$(case $arch in amd64) echo X86-64 ;; arm64) echo AArch64 ;; esac)
  find node_modules -name '*.node' | while read -r addon; do
    readelf -h "$addon" | grep -q "Machine:.*$machine" || { echo "$addon is not for $arch" >&2; exit 1; }
  done
}

stamp_is() { [ "$(cat -- "$1" 2>/dev/null)" = "$2" ]; }

# Has a lock for each architecture, so that a package for another does not wait for minutes of compiling.
need_modules() { # ARCH
  local arch=$1 dir=$root/.cache/package wanted
  local sysroot=$dir/sysroot-$1 modules=$dir/modules-$1 STEP_LOG=$dir/modules-$1.log
  mkdir -p "$dir"
  exec 8>"$dir/lock-$1"
  flock 8
  # One that an older version of this script has made lacks what it lists now.
  [ -e "$sysroot/usr/lib/$(triple_of "$arch")/pkgconfig/libonnxruntime.pc" ] || is_target "$arch" || step "headers and libraries of Debian for $arch" \
    'check the network, then run the same command again' make_sysroot "$arch" "$sysroot"
  wanted=$({
    cat "$root/package-lock.json" "$root"/patches/* "$root"/scripts/workshop/package/{modules,npm-package}.ts
    find "$root"/agent/vision/native/{binding.gyp,package.json,gst,addon,onnxruntime} -type f | sort | xargs cat
    declare -f make_modules cross_compile_addons compile_addons
  } | sha256sum)
  if ! stamp_is "$modules/.stamp" "$wanted"; then
    step "node modules for $arch (about 3 minutes, addons are compiled)" \
      'check that the npm registry can be reached (npm ping)' make_modules "$arch" "$modules" "$sysroot"
    printf '%s' "$wanted" >"$modules/.stamp"
  fi
  exec 8>&-
}
