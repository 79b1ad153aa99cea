{
  "target_defaults": {
    "include_dirs": ["<!@(node -p \"require('node-addon-api').include_dir\")"],
    "defines": ["NAPI_VERSION=8", "NODE_ADDON_API_DISABLE_DEPRECATED", "NODE_ADDON_API_CPP_EXCEPTIONS_ALL"],
    "cflags_cc!": ["-fno-exceptions", "-std=gnu++17"],
    "cflags_cc": ["-std=c++17", "-fexceptions", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror"],
  },
  "targets": [
    {
      "target_name": "vigie",
      "sources": [
        "addon/addon.cpp", "gst/jpeg.cpp", "gst/metadata.cpp", "gst/motion.cpp", "gst/packetgate.cpp", "gst/picture.cpp",
        "gst/picturesink.cpp", "gst/plugin.cpp", "gst/requests.cpp", "gst/scale.cpp", "gst/watch.cpp",
      ],
      "variables": {
        "libraries_of_gstreamer": "gstreamer-1.0 gstreamer-app-1.0 gstreamer-analytics-1.0 gstreamer-codecparsers-1.0 gstreamer-rtsp-1.0 gstreamer-sdp-1.0 gstreamer-video-1.0",
      },
      "cflags_cc": ["<!@(pkg-config --cflags <(libraries_of_gstreamer))"],
      "libraries": ["<!@(pkg-config --libs <(libraries_of_gstreamer))"],
    },
    {
      "target_name": "onnxruntime",
      "sources": ["onnxruntime/onnxruntime.cpp"],
      "cflags_cc": ["<!@(pkg-config --cflags libonnxruntime)"],
    },
  ],
}
