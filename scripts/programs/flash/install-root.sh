#!/bin/bash
# Installs a package with all that it depends on into the root file system of an image. Called by bake.ts in a mount and
# process namespace of its own (unshare), so that whatever ends it, mounts, loop device and daemons go with it.
#
#   IMAGE START BYTES  the image, where its root file system begins and how long it is
#   ROOT               an empty folder to mount it on
#   DEB UPDATER        the packages of the agent and of its updater
#   CACHE LOG          a folder that keeps what apt fetches; what the steps print
#   BOOT_UUID BAKED    partition of the boot files; content of baked.json
set -euo pipefail
: "${IMAGE:?}" "${START:?}" "${BYTES:?}" "${ROOT:?}" "${DEB:?}" "${UPDATER:?}" "${CACHE:?}" "${LOG:?}" "${BOOT_UUID:?}" "${BAKED:?}"

told() { # WHAT COMMAND...
  local what=$1
  shift
  "$@" >>"$LOG" 2>&1 || { printf '%s failed: %s; all of it is in %s\n' "$what" "$(grep -v '^$' "$LOG" | tail -n 1)" "$LOG" >&2; exit 1; }
}

# Let go of while it is open here, so that the kernel detaches it with its last user, whatever ends that.
loop=$(losetup --find --show --offset "$START" --sizelimit "$BYTES" "$IMAGE")
exec 9<"$loop"
losetup --detach "$loop"
# To the end of its partition, which bake.ts may have made longer. 1: mistakes were mended (e2fsck(8)).
checked() { e2fsck -fy "$loop" || [ $? -eq 1 ]; }
told e2fsck checked
told resize2fs resize2fs "$loop"
# What is interrupted is thrown away: nothing needs to be flushed before the end (a third of the time).
told mount mount -t ext4 -o barrier=0 "$loop" "$ROOT"
exec 9<&-
mount -t proc proc "$ROOT/proc"
mount -t sysfs -o ro sysfs "$ROOT/sys"
# Scripts of packages see no disk of this machine.
mount -t tmpfs -o mode=0755 tmpfs "$ROOT/dev"
for device in null:3 zero:5 full:7 random:8 urandom:9; do mknod -m 0666 "$ROOT/dev/${device%:*}" c 1 "${device#*:}"; done
ln -s /proc/self/fd "$ROOT/dev/fd"
mkdir "$ROOT/dev/shm" "$ROOT/dev/pts"
mount -t tmpfs -o mode=0755 tmpfs "$ROOT/run"
mount -t tmpfs tmpfs "$ROOT/tmp"
# What is fetched stays outside: a second bake is faster, and nothing of it has to be cleaned away.
mkdir -p "$CACHE/archives/partial" "$CACHE/lists/partial" "$ROOT/var/cache/apt/archives" "$ROOT/var/lib/apt/lists"
mount --bind "$CACHE/archives" "$ROOT/var/cache/apt/archives"
mount --bind "$CACHE/lists" "$ROOT/var/lib/apt/lists"

# The host's name servers, for as long as this runs; a link may lead into /run.
resolv=$ROOT/etc/resolv.conf kept=
if [ -L "$resolv" ] || [ -e "$resolv" ]; then kept=$(mktemp -u "$ROOT/etc/resolv.conf.XXXXXX") && mv -- "$resolv" "$kept"; fi
cp -L -- /etc/resolv.conf "$resolv"
# deb-systemd-invoke and invoke-rc.d ask it before they start anything: 101 is no (policy-rc.d, Debian Policy 9.3).
policy=$ROOT/usr/sbin/policy-rc.d made_policy=
if [ ! -e "$policy" ]; then printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 0755 "$policy" && made_policy=1; fi
cp -- "$DEB" "$ROOT/tmp/vigie.deb"
cp -- "$UPDATER" "$ROOT/tmp/vigie-root.deb"

inside() {
  env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
    ${http_proxy:+"http_proxy=$http_proxy"} ${https_proxy:+"https_proxy=$https_proxy"} chroot "$ROOT" "$@"
}
apt=(apt-get -q -y -o APT::Sandbox::User=root -o APT::Update::Error-Mode=any)
# A box has no reader of manuals but ours, and speaks no language but its own.
for place in doc man locale help; do apt+=(-o "Dpkg::Options::=--path-exclude=/usr/share/$place/*"); done
for place in doc/*/copyright doc/vigie/* doc/vigie-root/* man/man1/vigie.1.gz locale/locale.alias; do
  apt+=(-o "Dpkg::Options::=--path-include=/usr/share/$place")
done
# By which a phone reaches the box: its name, its Wi-Fi, and the addresses that the Wi-Fi gives. Suggested by the package: a
# box that is installed by hand may have other means.
reach=(avahi-daemon network-manager dnsmasq-base wpasupplicant)
told 'apt-get update' inside "${apt[@]}" update
told 'apt-get install' inside "${apt[@]}" -o Dpkg::Options::=--force-confold -o Dpkg::Options::=--force-unsafe-io --no-install-recommends install /tmp/vigie.deb /tmp/vigie-root.deb "${reach[@]}"
told 'vigie --version' inside /usr/bin/vigie --version
told 'vigie-root --help' inside /usr/bin/vigie-root --help

rm -f -- "$resolv"
[ -z "$kept" ] || mv -- "$kept" "$resolv"
[ -z "$made_policy" ] || rm -f -- "$policy"
rm -f -- "$ROOT"/var/cache/apt/*.bin
# Empty: made anew at the first start, unlike any other box's (machine-id(5)).
[ ! -e "$ROOT/etc/machine-id" ] || : >"$ROOT/etc/machine-id"
printf '%s\n' "$BAKED" >"$ROOT/usr/share/vigie/baked.json"
# A board without a battery starts at no earlier time than this (systemd, clock-epoch), so that certificates are valid.
touch "$ROOT/usr/lib/clock-epoch"
# Where provisioning looks; Raspberry Pi OS has it so already.
mkdir -p "$ROOT/boot/firmware"
if ! grep -Eq '^[^#]+[[:space:]]/boot/firmware/?[[:space:]]' "$ROOT/etc/fstab" 2>/dev/null; then
  printf 'PARTUUID=%s /boot/firmware vfat defaults,nofail,umask=0077 0 2\n' "$BOOT_UUID" >>"$ROOT/etc/fstab"
fi
inside dpkg-query -W -f '.\n' | wc -l
# What is free becomes a hole in the file.
fstrim "$ROOT"
