#!/bin/sh
exec /usr/lib/vigie-root/start current "$@"
