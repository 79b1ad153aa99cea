/** Restricts what an rtspsrc asks for and takes. */
#pragma once

#include "owners.h"

namespace vigie {

struct Requests {
  /** Regular expression (PCRE) of complete URLs. */
  const char* urls;
  /** Regular expression of relative names of tracks, which are appended to `base`. */
  const char* track;
  const char* base;
};

/**
 * Lets the element `source` of the sink's pipeline, an rtspsrc, ask for nothing but these. The first other
 * URL is an error of the pipeline, "led elsewhere", with the URL as the last line of its debug text. No
 * element of this process takes anything by UDP any more.
 *
 * @throws std::invalid_argument if the pipeline is not in the NULL state, has no such rtspsrc, or if an
 * expression is invalid
 */
void RestrictRequests(GstElement* sink, const Requests& requests);

}  // namespace vigie
