"""Run by the distribution's Python: an RTSP server that shows a ball at /jpeg and /h264. Its argument is the port."""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_service(sys.argv[1])
for name, encoder in (("jpeg", "jpegenc ! rtpjpegpay pt=26"), ("h264", "openh264enc gop-size=15 ! rtph264pay pt=96")):
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(
        "( videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width=320,height=240,framerate=30/1 "
        f"! {encoder} name=pay0 )"
    )
    factory.set_shared(True)
    server.get_mount_points().add_factory(f"/{name}", factory)
server.attach(None)
print("ready", flush=True)
GLib.MainLoop().run()
