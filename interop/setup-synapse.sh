#!/bin/bash
# Installs a real Synapse for the interop tests: Debian's own package, in a Debian sid of its own in one folder.
# Nothing of it touches the system outside that folder, except that debootstrap is installed when it is missing.
# Safe to run again: a finished installation is left alone (remove the folder for a newer Synapse).
#
#   interop/setup-synapse.sh                          into ~/.cache/evergreen/synapse
#   EVERGREEN_SYNAPSE_DIR=/folder interop/setup-synapse.sh
#
# Needs root, Debian or a relative of it, about 600 MB and one to two minutes.
set -euo pipefail

dir=${EVERGREEN_SYNAPSE_DIR:-$HOME/.cache/evergreen/synapse}
partial=$dir.partial

fail() {
  printf '\n*** SYNAPSE IS NOT INSTALLED: %s ***\n\n' "$1" >&2
  exit 1
}

synapse_version() {
  chroot "$1" python3 -c 'import synapse; print(synapse.__version__)'
}

[ "$(id -u)" = 0 ] || fail 'this script needs root (debootstrap and chroot)'

if [ -e "$dir" ]; then
  version=$(synapse_version "$dir") || fail "$dir exists, but Synapse does not start from it: name another folder, or remove this one"
  echo "Synapse $version is ready in $dir"
  exit 0
fi

# A mount namespace of our own: whatever is mounted below goes away with this process, however it ends.
if [ -z "${EVERGREEN_SETUP_UNSHARED:-}" ]; then
  unshare --mount true || fail 'this machine allows no mount namespace (unshare --mount)'
  EVERGREEN_SETUP_UNSHARED=1 exec unshare --mount bash "$0"
fi
trap 'fail "a step failed, see above"' ERR

command -v apt-get >/dev/null || fail 'this script needs apt-get'
apt-get update -q
command -v debootstrap >/dev/null || apt-get install -qy --no-install-recommends debootstrap

# The mirror is the one that this machine's own apt uses; of several entries, the first one of Debian itself.
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | head -n 1)
[ -n "$mirror" ] || fail 'the apt sources of this machine name no mirror of Debian'

mkdir -p "$(dirname "$dir")"
rm -rf --one-file-system "$partial"
debootstrap --variant=minbase --include=ca-certificates,python3 sid "$partial" "$mirror"

# This machine's own ways to reach the mirror (proxy, date checks) hold in there too.
apt-config dump | grep -E '^Acquire::(https?::|Check-)' >"$partial/etc/apt/apt.conf.d/90host" || true
# Without this file `localhost` is asked of a name server. IPv4 only, since that is where the peers listen.
echo '127.0.0.1 localhost' >"$partial/etc/hosts"
# dpkg must not start the service it installs: the tests start their own.
printf '#!/bin/sh\nexit 101\n' >"$partial/usr/sbin/policy-rc.d"
chmod +x "$partial/usr/sbin/policy-rc.d"

mount --bind /proc "$partial/proc"
DEBIAN_FRONTEND=noninteractive chroot "$partial" apt-get install -qy --no-install-recommends matrix-synapse
umount "$partial/proc"
chroot "$partial" apt-get clean

version=$(synapse_version "$partial")
# Last, so that a folder of this name is always a finished installation.
mv "$partial" "$dir"
echo "Synapse $version is ready in $dir"
