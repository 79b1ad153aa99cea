#include "picturesink.h"

#include <gst/app/gstappsink.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <mutex>

namespace vigie {
namespace {

/** State of a sink besides appsink's. Several threads may take samples. */
struct State {
  guint id = 0;
  /** Turn of the one that waits in appsink, which wakes one thread alone at the end of a stream. */
  std::timed_mutex turn;
  std::mutex mutex;
  /** Those of the last caps. */
  CapsOwner caps;
  std::shared_ptr<Converters> converters;
  Watch watch;
};

struct PictureSink {
  GstAppSink parent;
  State* state;
};
struct PictureSinkClass {
  GstAppSinkClass parent;
};

G_DEFINE_TYPE(PictureSink, picture_sink, GST_TYPE_APP_SINK)

enum { kId = 1, kReplaced };

/** Sinks of the process by number. A weak reference tells whether one is being finalised in another thread.
 */
class Table {
 public:
  guint Add(gpointer sink) {
    const std::lock_guard lock(mutex_);
    const guint id = ++last_id_;
    g_weak_ref_init(&sinks_[id], sink);
    return id;
  }

  ElementOwner Find(guint id) {
    const std::lock_guard lock(mutex_);
    const auto found = sinks_.find(id);
    return ElementOwner(found == sinks_.end() ? nullptr : GST_ELEMENT(g_weak_ref_get(&found->second)));
  }

  void Remove(guint id) {
    const std::lock_guard lock(mutex_);
    const auto found = sinks_.find(id);
    g_weak_ref_clear(&found->second);
    sinks_.erase(found);
  }

 private:
  std::mutex mutex_;
  guint last_id_ = 0;
  std::map<guint, GWeakRef> sinks_;
};

Table& AllSinks() {
  // Never destroyed: sinks may be finalised while the process ends.
  static Table* const table = new Table();
  return *table;
}

State& StateOf(gpointer sink) {
  return *static_cast<PictureSink*>(sink)->state;
}

void GetProperty(GObject* object, guint property, GValue* value, GParamSpec*) {
  if (property == kId) g_value_set_uint(value, StateOf(object).id);
  if (property == kReplaced) g_value_set_uint64(value, StateOf(object).watch.dropped());
}

/** Each opening has time stamps of its own. */
GstStateChangeReturn ChangeState(GstElement* element, GstStateChange change) {
  if (change == GST_STATE_CHANGE_READY_TO_PAUSED) StateOf(element).watch.Reopen();
  return GST_ELEMENT_CLASS(picture_sink_parent_class)->change_state(element, change);
}

void Finalize(GObject* object) {
  AllSinks().Remove(StateOf(object).id);
  delete &StateOf(object);
  G_OBJECT_CLASS(picture_sink_parent_class)->finalize(object);
}

void picture_sink_init(PictureSink* sink) {
  sink->state = new State();
  sink->state->id = AllSinks().Add(sink);
}

void picture_sink_class_init(PictureSinkClass* type) {
  GObjectClass* object = G_OBJECT_CLASS(type);
  object->get_property = GetProperty;
  object->finalize = Finalize;
  const auto flags = static_cast<GParamFlags>(G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  g_object_class_install_property(
      object, kId, g_param_spec_uint("id", "Id", "Number of this sink in the process", 0, G_MAXUINT, 0, flags));
  g_object_class_install_property(
      object, kReplaced,
      g_param_spec_uint64("replaced", "Replaced", "Pictures that newer ones replaced before they were taken", 0,
                          G_MAXUINT64, 0, flags));
  GST_ELEMENT_CLASS(type)->change_state = ChangeState;
  gst_element_class_set_static_metadata(GST_ELEMENT_CLASS(type), "Picture sink", "Sink/Video",
                                        "Gives pictures and results of inference to the application", "Vigie");
}

/** Who has no turn within the limit gets nothing: where another one waits, no sample does. */
std::unique_lock<std::timed_mutex> TurnAt(GstElement* sink, GstClockTime limit) {
  std::timed_mutex& turn = StateOf(sink).turn;
  if (limit == GST_CLOCK_TIME_NONE) return std::unique_lock(turn);
  return std::unique_lock(turn, std::chrono::nanoseconds(limit));
}

SampleOwner TakeSample(GstElement* sink, GstClockTime limit) {
  const GstClockTime began = gst_util_get_timestamp();
  const auto turn = TurnAt(sink, limit);
  if (!turn) return nullptr;
  if (limit != GST_CLOCK_TIME_NONE) limit -= std::min(limit, gst_util_get_timestamp() - began);
  SampleOwner sample(gst_app_sink_try_pull_sample(GST_APP_SINK(sink), limit));
  return sample && gst_sample_get_buffer(sample.get()) ? std::move(sample) : nullptr;
}

std::shared_ptr<Converters> ConvertersFor(State& state, GstCaps* caps) {
  const std::lock_guard lock(state.mutex);
  // Caps are equal far more often than they are the same object.
  if (!state.caps || (state.caps.get() != caps && !gst_caps_is_equal(state.caps.get(), caps))) {
    state.converters = std::make_shared<Converters>(caps);
    state.caps.reset(gst_caps_ref(caps));
  }
  return state.converters;
}

}  // namespace

gboolean RegisterPictureSink(GstPlugin* plugin) {
  return gst_element_register(plugin, "picturesink", GST_RANK_NONE, picture_sink_get_type());
}

ElementOwner FindPictureSink(guint id) {
  return AllSinks().Find(id);
}

std::shared_ptr<const Picture> TakePicture(GstElement* sink, GstClockTime limit) {
  SampleOwner sample = TakeSample(sink, limit);
  if (!sample) return nullptr;
  GstCaps* caps = gst_sample_get_caps(sample.get());
  if (!caps) return nullptr;
  std::shared_ptr<Converters> converters = ConvertersFor(StateOf(sink), caps);
  return std::make_shared<const Picture>(std::move(sample), std::move(converters));
}

Look TakeWanted(GstElement* sink, const Terms& terms, GstClockTime limit) {
  Watch& watch = StateOf(sink).watch;
  for (;;) {
    Look look = {TakePicture(sink, limit), {}};
    if (look.picture && !watch.Wants(*look.picture, terms)) continue;
    // Within a limit, there may be more pictures later.
    if (look.picture || limit == GST_CLOCK_TIME_NONE) look.seen = watch.TakeSeen();
    return look;
  }
}

Motion BeginScene(GstElement* sink, Scene scene, const Picture& picture) {
  return StateOf(sink).watch.Begin(std::move(scene), picture);
}

std::optional<Inferred> TakeInferred(GstElement* sink, GstClockTime limit) {
  const SampleOwner sample = TakeSample(sink, limit);
  if (!sample) return std::nullopt;
  return ReadMetadata(gst_sample_get_buffer(sample.get()));
}

}  // namespace vigie
