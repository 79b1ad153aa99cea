#include "plugin.h"

#include "packetgate.h"
#include "picturesink.h"

namespace {

constexpr char kDescription[] = "Elements of Vigie";
constexpr char kVersion[] = "0.1.0";
// The string that GStreamer knows for Apache-2.0 (gstplugin.c, valid_licenses).
constexpr char kLicence[] = "Apache 2.0";
constexpr char kOrigin[] = "https://vigie.invalid";

gboolean Register(GstPlugin* plugin) {
  return vigie::RegisterPacketGate(plugin) && vigie::RegisterPictureSink(plugin);
}

}  // namespace

#ifdef VIGIE_LIBRARY
// The library for gst-inspect, gst-launch and the tests.
#define PACKAGE "vigie"
GST_PLUGIN_DEFINE(GST_VERSION_MAJOR, GST_VERSION_MINOR, vigie, kDescription, Register, kVersion, kLicence, "vigie",
                  kOrigin)
#endif

namespace vigie {

void RegisterElements() {
  gst_plugin_register_static(GST_VERSION_MAJOR, GST_VERSION_MINOR, "vigie", kDescription, Register, kVersion, kLicence,
                             "vigie", "vigie", kOrigin);
}

}  // namespace vigie
