/**
 * The element `picturesink`: an appsink whose samples are read as pictures or as results of inference. It has
 * all properties of appsink.
 */
#pragma once

#include <memory>
#include <optional>

#include "metadata.h"
#include "owners.h"
#include "picture.h"
#include "watch.h"

namespace vigie {

/** Registers the element. */
gboolean RegisterPictureSink(GstPlugin* plugin);

/**
 * Returns the picturesink with that value of the property `id`, or null if there is none any more. Each one
 * gets a number that no other one of the process has or had.
 */
ElementOwner FindPictureSink(guint id);

/**
 * Takes the oldest waiting picture. Waits for it up to `limit`, GST_CLOCK_TIME_NONE for ever. Returns null if
 * none came, at the end of the stream, and when the sink goes to the NULL state.
 *
 * @throws std::runtime_error for a sample that is no picture of 8 bits in 4:2:0 (Converters)
 */
std::shared_ptr<const Picture> TakePicture(GstElement* sink, GstClockTime limit);

struct Look {
  /** Null for the same reasons. */
  std::shared_ptr<const Picture> picture;
  /** Pictures that were looked at before it and are not wanted, then itself. Its scene may have to be set. */
  std::vector<Seen> seen;
};

/** Takes pictures in the same way until one is wanted. Without a limit, what was seen comes at the end too.
 */
Look TakeWanted(GstElement* sink, const Terms& terms, GstClockTime limit);

/** Sets the scene of the pictures (Watch::Begin). */
Motion BeginScene(GstElement* sink, Scene scene, const Picture& picture);

/** Takes the next sample's results in the same way. */
std::optional<Inferred> TakeInferred(GstElement* sink, GstClockTime limit);

}  // namespace vigie
