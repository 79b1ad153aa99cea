/** Elements of Vigie for GStreamer. */
#pragma once

#include <gst/gst.h>

namespace vigie {

/** Registers the elements in this process, once, after gst_init. libgstvigie.so must not be loaded beside it. */
void RegisterElements();

}  // namespace vigie
