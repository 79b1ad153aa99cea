/** Encodes one picture as JPEG. */
#pragma once

#include "owners.h"

namespace vigie {

/**
 * Runs GStreamer's `jpegenc` on one buffer in the calling thread, so no other picture can be mistaken for it
 * and nothing waits. The result has the buffer's time stamp.
 *
 * @throws std::runtime_error with the encoder's own message
 */
BufferOwner EncodeJpeg(GstBuffer* picture, GstCaps* caps);

}  // namespace vigie
