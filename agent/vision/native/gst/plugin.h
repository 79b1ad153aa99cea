/** Elements of Vigie for GStreamer. */
#pragma once

#include <gst/gst.h>

namespace vigie {

/** Registers the elements in this process, after gst_init. Once; the library libgstvigie.so must not be
 * loaded beside it. */
void RegisterElements();

}  // namespace vigie
