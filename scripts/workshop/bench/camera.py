#!/usr/bin/python3
"""Camera of the benchmark: serves a coded film by RTSP at the film's own speed, from the start for each client.

Usage: camera.py FILM [SECOND]; prints one JSON line {"port": N} when it serves, and exits when its input ends.
FILM at /main, SECOND at /sub: Matroska with one stream of H.264 or H.265. Needs gir1.2-gst-rtsp-server-1.0 and python3-gi.
"""
import json
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

Gst.init(None)
loop = GLib.MainLoop()
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service("0")
for mount, film in zip(("/main", "/sub"), sys.argv[1:]):
    with open(film, "rb") as head:
        codec = "h265" if b"V_MPEGH" in head.read(65536) else "h264"
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(
        f"( filesrc location={film} ! matroskademux ! {codec}parse ! rtp{codec}pay name=pay0 pt=96 config-interval=-1 )"
    )
    server.get_mount_points().add_factory(mount, factory)
if server.attach(None) == 0:
    sys.exit("cannot listen")
print(json.dumps({"port": server.get_bound_port()}), flush=True)


def wait_for_the_end():
    sys.stdin.read()
    GLib.idle_add(loop.quit)


threading.Thread(target=wait_for_the_end, daemon=True).start()
loop.run()
