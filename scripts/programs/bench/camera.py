#!/usr/bin/python3
"""A camera of the benchmark: serves a coded film by RTSP at the film's own speed, anew for each client.

Usage: camera.py FILM; prints one JSON line {"port": N} when it serves, and ends with its standard input.
FILM: Matroska with one H.264 stream. Needs gir1.2-gst-rtsp-server-1.0 and python3-gi.
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
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(
    f"( filesrc location={sys.argv[1]} ! matroskademux ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1 )"
)
server.get_mount_points().add_factory("/main", factory)
if server.attach(None) == 0:
    sys.exit("cannot listen")
print(json.dumps({"port": server.get_bound_port()}), flush=True)


def wait_for_the_end():
    sys.stdin.read()
    GLib.idle_add(loop.quit)


threading.Thread(target=wait_for_the_end, daemon=True).start()
loop.run()
