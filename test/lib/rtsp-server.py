#!/usr/bin/python3
"""A small RTSP camera for tests: a test pattern, encoded live, with faults on request.

Prints one JSON line `{"port": N}` when it serves, then obeys one command a line on stdin:
  mute | unmute          the session stays open, no media is sent
  size WIDTH HEIGHT      the picture changes its size in mid-stream
  corrupt PROBABILITY    each coded byte is changed at random with this probability; 0 ends it
  pattern NAME           another picture of videotestsrc
  eos                    the stream ends, the session stays open
  quit
Needs gir1.2-gst-rtsp-server-1.0, python3-gi and the encoder's plugin.
"""
import argparse
import json
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

ENCODERS = {
    "h264": "x264enc tune=zerolatency speed-preset=ultrafast key-int-max={gop} bitrate=800 "
    "! video/x-h264,profile=baseline ! breakmydata name=break probability=0 seed={seed} ! rtph264pay name=pay0 pt=96 config-interval=-1",
    "h265": "x265enc tune=zerolatency speed-preset=ultrafast key-int-max={gop} bitrate=800 "
    "! rtph265pay name=pay0 pt=96 config-interval=-1",
    "jpeg": "jpegenc ! rtpjpegpay name=pay0 pt=26",
}


def caps_of(args, width, height):
    par = f",pixel-aspect-ratio={args.par}" if args.par else ""
    return f"video/x-raw,format=I420,width={width},height={height},framerate={args.fps}/1{par}"


class Factory(GstRtspServer.RTSPMediaFactory):
    def __init__(self, args):
        super().__init__()
        self.args = args
        self.pipelines = []
        self.corrupt = 0.0
        self.set_shared(True)
        self.set_eos_shutdown(False)

    def do_create_element(self, url):
        args = self.args
        audio = "audiotestsrc is-live=true ! alawenc ! rtppcmapay name=pay1 pt=8" if args.audio else ""
        pipeline = Gst.parse_launch(
            f"( videotestsrc name=scene is-live=true pattern={args.pattern} "
            f"! capsfilter name=size caps={caps_of(args, args.width, args.height)} "
            f"! valve name=mute ! {ENCODERS[args.codec].format(gop=args.gop or args.fps, seed=args.seed)} {audio} )"
        )
        # A client that reconnects finds the same fault.
        if self.corrupt > 0:
            pipeline.get_by_name("break").set_property("probability", self.corrupt)
        self.pipelines.append(pipeline)
        return pipeline


def obey(factory, line):
    words = line.split()
    if words[:1] == ["quit"]:
        loop.quit()
    if words[:1] == ["corrupt"]:
        factory.corrupt = float(words[1])
    for pipeline in factory.pipelines:
        if words[:1] == ["mute"] or words[:1] == ["unmute"]:
            pipeline.get_by_name("mute").set_property("drop", words[0] == "mute")
        elif words[:1] == ["size"]:
            pipeline.get_by_name("size").set_property(
                "caps", Gst.Caps.from_string(caps_of(factory.args, words[1], words[2]))
            )
        elif words[:1] == ["corrupt"]:
            pipeline.get_by_name("break").set_property("probability", float(words[1]))
        elif words[:1] == ["pattern"]:
            pipeline.get_by_name("scene").set_property("pattern", words[1])
        elif words[:1] == ["eos"]:
            pipeline.get_by_name("scene").send_event(Gst.Event.new_eos())
    print(json.dumps({"done": line.strip()}), flush=True)


def listen(factory):
    for line in sys.stdin:
        GLib.idle_add(obey, factory, line)
    GLib.idle_add(loop.quit)


parser = argparse.ArgumentParser()
parser.add_argument("--port", default="0")
parser.add_argument("--codec", choices=sorted(ENCODERS), default="h264")
parser.add_argument("--width", type=int, default=640)
parser.add_argument("--height", type=int, default=480)
parser.add_argument("--fps", type=int, default=10)
parser.add_argument("--gop", type=int, default=0, help="frames from key frame to key frame; a second's by default")
parser.add_argument("--seed", type=int, default=1, help="of corruption")
parser.add_argument("--par", default="", help="pixel aspect ratio, as 16/11")
parser.add_argument("--pattern", default="ball")
parser.add_argument("--user", default="")
parser.add_argument("--password", default="")
parser.add_argument("--audio", action="store_true", help="a second, audio stream")
args = parser.parse_args()

Gst.init(None)
loop = GLib.MainLoop()
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(args.port)
factory = Factory(args)
if args.user:
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "camera")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(args.user, args.password), token)
    auth.set_supported_methods(2)  # digest, as cameras require
    auth.add_digest(args.user, args.password, token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role("camera", "media.factory.access", True)
    permissions.add_permission_for_role("camera", "media.factory.construct", True)
    factory.set_permissions(permissions)
server.get_mount_points().add_factory("/main", factory)
if server.attach(None) == 0:
    sys.exit(f"cannot listen on port {args.port}")
print(json.dumps({"port": server.get_bound_port()}), flush=True)
threading.Thread(target=listen, args=(factory,), daemon=True).start()
loop.run()
