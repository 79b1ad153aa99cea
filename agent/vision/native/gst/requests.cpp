#include "requests.h"

#include <gst/rtsp/gstrtspmessage.h>
#include <gst/sdp/gstsdpmessage.h>

#include <stdexcept>
#include <string>

namespace vigie {
namespace {

struct Restriction {
  RegexOwner urls;
  RegexOwner track;
  std::string base;
};

constexpr char kName[] = "vigie-restriction";

const Restriction* RestrictionOf(GstElement* source) {
  return static_cast<const Restriction*>(g_object_get_data(G_OBJECT(source), kName));
}

/** An expression that has to match as a whole. */
RegexOwner Whole(const char* pattern) {
  const std::string anchored = std::string("\\A(?:") + pattern + ")\\z";
  RegexOwner regex(g_regex_new(anchored.c_str(), G_REGEX_RAW, static_cast<GRegexMatchFlags>(0), nullptr));
  if (!regex) throw std::invalid_argument(std::string("not a regular expression: ") + pattern);
  return regex;
}

bool Matches(const RegexOwner& regex, const char* text) {
  return text && g_regex_match(regex.get(), text, static_cast<GRegexMatchFlags>(0), nullptr);
}

/**
 * A request that is not sent is taken for one that was answered with 200 and nothing else; the error ends the
 * opening. A redirect's connection has been made by now, and nothing was said on it.
 */
gboolean OnBeforeSend(GstElement* source, GstRTSPMessage* request, gpointer) {
  GstRTSPMethod method = GST_RTSP_INVALID;
  const gchar* url = nullptr;
  gst_rtsp_message_parse_request(request, &method, &url, nullptr);
  if (Matches(RestrictionOf(source)->urls, url)) return TRUE;
  if (method != GST_RTSP_TEARDOWN)
    GST_ELEMENT_ERROR(source, RESOURCE, NOT_AUTHORIZED, ("led elsewhere"), ("%s", url ? url : ""));
  return FALSE;
}

/** What a server says of its stream: a clock of another host would be asked for the time by UDP. */
void OnSdp(GstElement* source, GstSDPMessage* sdp, gpointer) {
  const Restriction* restriction = RestrictionOf(source);
  for (guint i = gst_sdp_message_attributes_len(sdp); i > 0; i--) {
    if (g_str_equal(gst_sdp_message_get_attribute(sdp, i - 1)->key, "x-gst-clock"))
      gst_sdp_message_remove_attribute(sdp, i - 1);
  }
  for (guint m = 0; m < gst_sdp_message_medias_len(sdp); m++) {
    auto* media = const_cast<GstSDPMedia*>(gst_sdp_message_get_media(sdp, m));
    for (guint i = 0; i < gst_sdp_media_attributes_len(media); i++) {
      const GstSDPAttribute* control = gst_sdp_media_get_attribute(media, i);
      if (!g_str_equal(control->key, "control") || !Matches(restriction->track, control->value)) continue;
      GstSDPAttribute appended;
      gst_sdp_attribute_set(&appended, "control", (restriction->base + control->value).c_str());
      gst_sdp_media_replace_attribute(media, i, &appended);
    }
  }
}

/** A server may answer that the stream comes by multicast, whatever was asked for: then nothing is there to take it. */
void ForgetUdp() {
  GstPlugin* udp = gst_registry_find_plugin(gst_registry_get(), "udp");
  if (!udp) return;
  gst_registry_remove_plugin(gst_registry_get(), udp);
  gst_object_unref(udp);
}

/** Returns the element `source` of a pipeline that is in the NULL state. */
ElementOwner SourceBeside(GstElement* sink) {
  ElementOwner pipeline(GST_ELEMENT(gst_object_get_parent(GST_OBJECT(sink))));
  for (GstObject* above = nullptr; pipeline && (above = gst_object_get_parent(GST_OBJECT(pipeline.get())));)
    pipeline.reset(GST_ELEMENT(above));
  if (!pipeline || GST_STATE(pipeline.get()) != GST_STATE_NULL)
    throw std::invalid_argument("requests are restricted before the pipeline is opened");
  ElementOwner source(gst_bin_get_by_name(GST_BIN(pipeline.get()), "source"));
  if (!source || !g_signal_lookup("before-send", G_OBJECT_TYPE(source.get())))
    throw std::invalid_argument("the pipeline has no rtspsrc of the name \"source\"");
  return source;
}

}  // namespace

void RestrictRequests(GstElement* sink, const Requests& requests) {
  const ElementOwner source = SourceBeside(sink);
  auto restriction =
      std::make_unique<Restriction>(Restriction{Whole(requests.urls), Whole(requests.track), requests.base});
  const bool is_first = RestrictionOf(source.get()) == nullptr;
  g_object_set_data_full(G_OBJECT(source.get()), kName, restriction.release(),
                         [](gpointer data) { delete static_cast<Restriction*>(data); });
  if (!is_first) return;
  g_signal_connect(source.get(), "before-send", G_CALLBACK(OnBeforeSend), nullptr);
  g_signal_connect(source.get(), "on-sdp", G_CALLBACK(OnSdp), nullptr);
  ForgetUdp();
}

}  // namespace vigie
