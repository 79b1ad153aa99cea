#!/bin/bash
# Installs a package with all its dependencies into the root file system of an image. Called by bake.ts in a mount and
# process namespace of its own (unshare), so that mounts, loop device and daemons end with it in every case.
#
#   IMAGE START BYTES  the image, with offset and length of its root file system
#   ROOT               an empty folder to mount it on
#   DEB UPDATER        the packages of the agent and of its updater
#   CACHE LOG          a folder that caches apt's downloads; output of the steps
#   BOOT_UUID BAKED    partition of the boot files; content of baked.json
set -euo pipefail
: "${IMAGE:?}" "${START:?}" "${BYTES:?}" "${ROOT:?}" "${DEB:?}" "${UPDATER:?}" "${CACHE:?}" "${LOG:?}" "${BOOT_UUID:?}" "${BAKED:?}"

told() { # WHAT COMMAND...
  local what=$1
  shift
  "$@" >>"$LOG" 2>&1 || { printf '%s failed: %s; all of it is in %s\n' "$what" "$(grep -v '^$' "$LOG" | tail -n 1)" "$LOG" >&2; exit 1; }
}

# Detached while it is open here, so that the kernel frees it with its last user in every case.
loop=$(losetup --find --show --offset "$START" --sizelimit "$BYTES" "$IMAGE")
exec 9<"$loop"
losetup --detach "$loop"
# Extends to the end of its partition, which bake.ts may have enlarged. Exit code 1: errors were corrected (e2fsck(8)).
checked() { e2fsck -fy "$loop" || [ $? -eq 1 ]; }
told e2fsck checked
told resize2fs resize2fs "$loop"
# An interrupted image is discarded, so nothing needs to be flushed before the end (saves a third of the time).
told mount mount -t ext4 -o barrier=0 "$loop" "$ROOT"
exec 9<&-
mount -t proc proc "$ROOT/proc"
mount -t sysfs -o ro sysfs "$ROOT/sys"
# Hides the disks of this machine from scripts of packages.
mount -t tmpfs -o mode=0755 tmpfs "$ROOT/dev"
for device in null:3 zero:5 full:7 random:8 urandom:9; do mknod -m 0666 "$ROOT/dev/${device%:*}" c 1 "${device#*:}"; done
ln -s /proc/self/fd "$ROOT/dev/fd"
mkdir "$ROOT/dev/shm" "$ROOT/dev/pts"
mount -t tmpfs -o mode=0755 tmpfs "$ROOT/run"
mount -t tmpfs tmpfs "$ROOT/tmp"
# Downloads stay outside: a second bake is faster, and they need no cleaning up.
mkdir -p "$CACHE/archives/partial" "$CACHE/lists/partial" "$ROOT/var/cache/apt/archives" "$ROOT/var/lib/apt/lists"
mount --bind "$CACHE/archives" "$ROOT/var/cache/apt/archives"
mount --bind "$CACHE/lists" "$ROOT/var/lib/apt/lists"

# Uses the host's name servers while this runs; a link may point into /run.
resolv=$ROOT/etc/resolv.conf kept=
if [ -L "$resolv" ] || [ -e "$resolv" ]; then kept=$(mktemp -u "$ROOT/etc/resolv.conf.XXXXXX") && mv -- "$resolv" "$kept"; fi
cp -L -- /etc/resolv.conf "$resolv"
# deb-systemd-invoke and invoke-rc.d call it before they start anything; 101 forbids it (policy-rc.d, Debian Policy 9.3).
policy=$ROOT/usr/sbin/policy-rc.d made_policy=
if [ ! -e "$policy" ]; then printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 0755 "$policy" && made_policy=1; fi
cp -- "$DEB" "$ROOT/tmp/vigie.deb"
cp -- "$UPDATER" "$ROOT/tmp/vigie-root.deb"

inside() {
  env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
    ${http_proxy:+"http_proxy=$http_proxy"} ${https_proxy:+"https_proxy=$https_proxy"} chroot "$ROOT" "$@"
}
apt=(apt-get -q -y -o APT::Sandbox::User=root -o APT::Update::Error-Mode=any)
# A box needs only the project's own manuals, and one language.
for place in doc man locale help; do apt+=(-o "Dpkg::Options::=--path-exclude=/usr/share/$place/*"); done
for place in doc/*/copyright doc/vigie/* doc/vigie-root/* man/man1/vigie.1.gz locale/locale.alias; do
  apt+=(-o "Dpkg::Options::=--path-include=/usr/share/$place")
done
# Lets a phone reach the box: its name, its Wi-Fi, and the addresses of the Wi-Fi. Only suggested by the package, because a
# box that is installed by hand may have other means.
reach=(avahi-daemon network-manager dnsmasq-base wpasupplicant)
# dpkg makes no folder that a path-exclude names, and an image without manuals lacks this one.
mkdir -p "$ROOT/usr/share/man/man1"
told 'apt-get update' inside "${apt[@]}" update
told 'apt-get install' inside "${apt[@]}" -o Dpkg::Options::=--force-confold -o Dpkg::Options::=--force-unsafe-io --no-install-recommends install /tmp/vigie.deb /tmp/vigie-root.deb "${reach[@]}"
told 'vigie --version' inside /usr/bin/vigie --version
told 'vigie-root --help' inside /usr/bin/vigie-root --help

rm -f -- "$resolv"
[ -z "$kept" ] || mv -- "$kept" "$resolv"
[ -z "$made_policy" ] || rm -f -- "$policy"
rm -f -- "$ROOT"/var/cache/apt/*.bin
# Empty: created at the first start, unique to the box (machine-id(5)).
[ ! -e "$ROOT/etc/machine-id" ] || : >"$ROOT/etc/machine-id"
printf '%s\n' "$BAKED" >"$ROOT/usr/share/vigie/baked.json"
# Earliest time at which a board without a battery starts (systemd, clock-epoch), so that certificates are valid.
touch "$ROOT/usr/lib/clock-epoch"
# Provisioning reads this folder; Raspberry Pi OS already has it.
mkdir -p "$ROOT/boot/firmware"
if ! grep -Eq '^[^#]+[[:space:]]/boot/firmware/?[[:space:]]' "$ROOT/etc/fstab" 2>/dev/null; then
  printf 'PARTUUID=%s /boot/firmware vfat defaults,nofail,umask=0077 0 2\n' "$BOOT_UUID" >>"$ROOT/etc/fstab"
fi
inside dpkg-query -W -f '.\n' | wc -l
# Turns free space into holes in the file.
fstrim "$ROOT"
