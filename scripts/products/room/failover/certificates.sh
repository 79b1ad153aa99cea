#!/bin/bash
# Creates the authority of the database's machines, and a key and certificate for each: certificates.sh NAME=ADDRESS...
# The files are written to the current folder: ca.crt, ca.key, NAME.crt, NAME.key. A second run adds machines.
set -euo pipefail

[ $# -gt 0 ] || { printf 'Usage: certificates.sh NAME=ADDRESS...   (an address is an IP address)\n' >&2; exit 2; }
for machine in "$@"; do
  [[ $machine =~ ^[a-z0-9-]+=[0-9a-f.:]+$ ]] || {
    printf 'certificates.sh: %s: takes NAME=ADDRESS, such as db1=10.0.0.1\n' "$machine" >&2
    exit 2
  }
done
umask 077
# Not Ed25519: PostgreSQL 17 cannot bind a password to a connection with such a certificate.

# All extensions of RFC 5280, because Patroni's Python requires them.
[ -f ca.key ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
  -subj '/CN=database of the room' -addext keyUsage=critical,keyCertSign,cRLSign -keyout ca.key -out ca.crt 2>/dev/null
for machine in "$@"; do
  name=${machine%%=*}
  # For server and client use, because each machine connects to the two others. The loopback address is for the proxy on
  # the room's machine.
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$name" -keyout "$name.key" 2>/dev/null |
    openssl x509 -req -days 1825 -CA ca.crt -CAkey ca.key -out "$name.crt" -extfile <(
      printf 'basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\n'
      printf 'subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n'
      printf 'subjectAltName=DNS:%s,IP:%s,DNS:localhost,IP:127.0.0.1\n' "$name" "${machine#*=}"
    ) 2>/dev/null
done
