/*
 * Inference elements that run no model: they report the detections of their "model" file, and play the faults that the
 * file names. They have the names of elements that Debian lacks. tfliteinference answers with GstTensorMeta, hailonet as
 * HailoRT does: a buffer of its own per output, with HailoRT's metadata. Lines of the file:
 *
 *   box X1 Y1 X2 Y2 SCORE LABEL    one detection; SCORE "dark" is 1 - the mean of the box's pixels / 255
 *   at N HASH                      boxes from here on are those of frame N, whose bytes have this hash (FNV-1a, 32 bits)
 *   hailo OUTPUT ORDER CLASSES MAX output of hailonet: its name, by-class or by-score, classes, boxes at most
 *   fault NAME [NUMBER]            the fault that it plays, see faults() and the rest
 *   from N                         frame at which it begins, 0 (the default) being the first
 *   while PATH                     only as long as this file is there (the device is unplugged)
 *
 * The tracer slowsink at the end belongs to tests of the camera's pipeline.
 */
#define GST_USE_UNSTABLE_API /* of tracers */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gst/analytics/analytics.h>
#include <gst/base/gstbasetransform.h>
#include <gst/gst.h>
#include <gst/gsttracer.h>
#include <gst/video/video.h>

#define BOXES_MAX 32768

typedef struct {
  gfloat xyxy[4], score;
  gint label, frame; /* frame -1: every frame */
} Box;

/* Metadata of HailoRT 4.22 to 5.2 (184 bytes). Older versions have 448 or 456; only the size is played. */
typedef struct {
  GstMeta meta;
  gchar name[128];
  gint32 type;
  guint8 is_nms;
  guint32 shape[4];
  gfloat quantisation[4];
  guint8 older[456 - 184];
} HailoMeta;

typedef struct {
  gchar name[128];
  gboolean by_score;
  gint classes, max;
} HailoOutput;

typedef struct {
  GstBaseTransform parent;
  gchar *file, *fault, *condition;
  gint number, from, threads, frames, n, at;
  /* BOXES_MAX each: an instance of a GObject has at most 64 KiB. */
  Box *boxes;
  guint *hashes;
  HailoOutput output;
  gboolean is_hailo;
  GstVideoInfo info;
} Fake;

typedef struct {
  GstBaseTransformClass parent;
} FakeClass;

GType fake_get_type(void);
G_DEFINE_TYPE(Fake, fake, GST_TYPE_BASE_TRANSFORM)

#define CAPS GST_STATIC_CAPS("video/x-raw,format=RGB")
static GstStaticPadTemplate sink = GST_STATIC_PAD_TEMPLATE("sink", GST_PAD_SINK, GST_PAD_ALWAYS, CAPS);
static GstStaticPadTemplate src = GST_STATIC_PAD_TEMPLATE("src", GST_PAD_SRC, GST_PAD_ALWAYS, CAPS);

static void hang(void) {
  for (;;) sleep(3600);
}

static gboolean plays(Fake *self, const gchar *fault) {
  if (!self->fault || strcmp(self->fault, fault) || self->frames < self->from) return FALSE;
  return !self->condition || g_file_test(self->condition, G_FILE_TEST_EXISTS);
}

static void read_line(Fake *self, const gchar *line) {
  gchar word[200], score[20];
  gint label;
  gfloat *at;
  gint frame;
  guint hash;
  if (sscanf(line, "at %d %u", &frame, &hash) == 2 && frame >= 0 && frame < BOXES_MAX) {
    self->at = frame;
    self->hashes[frame] = hash;
  } else if (sscanf(line, "hailo %127s %199s %d %d", self->output.name, word, &self->output.classes,
                 &self->output.max) == 4) {
    self->output.by_score = !strcmp(word, "by-score");
  } else if (sscanf(line, "fault %199s %d", word, &self->number) >= 1) {
    g_free(self->fault);
    self->fault = g_strdup(word);
  } else if (sscanf(line, "while %199s", word) == 1) {
    g_free(self->condition);
    self->condition = g_strdup(word);
  } else if (!strncmp(line, "box ", 4) && self->n < BOXES_MAX) {
    at = self->boxes[self->n].xyxy;
    if (sscanf(line, "box %f %f %f %f %19s %d", at, at + 1, at + 2, at + 3, score, &label) != 6) return;
    self->boxes[self->n].score = strcmp(score, "dark") ? (gfloat)atof(score) : -1;
    self->boxes[self->n].frame = self->at;
    self->boxes[self->n++].label = label;
  } else {
    sscanf(line, "from %d", &self->from);
  }
}

static gboolean start(GstBaseTransform *base) {
  Fake *self = (Fake *)base;
  gchar *text = NULL, **lines, **line;
  if (!self->file || !g_file_get_contents(self->file, &text, NULL, NULL)) {
    GST_ELEMENT_ERROR(self, RESOURCE, NOT_FOUND, ("no model"), ("cannot read the model"));
    return FALSE;
  }
  lines = g_strsplit(text, "\n", -1);
  for (line = lines; *line; line++) read_line(self, *line);
  g_strfreev(lines);
  g_free(text);
  if (plays(self, "refuse-model")) {
    GST_ELEMENT_ERROR(self, STREAM, WRONG_TYPE, ("wrong chip"), ("compiled for another chip"));
    return FALSE;
  }
  if (plays(self, "stall-start")) hang();
  return TRUE;
}

static gboolean set_caps(GstBaseTransform *base, GstCaps *in, GstCaps *out) {
  Fake *self = (Fake *)base;
  (void)out;
  return gst_video_info_from_caps(&self->info, in);
}

/* 1 - the mean of the pixels in a box, 0..1; black gives 1. */
static gfloat darkness(Fake *self, GstVideoFrame *frame, const Box *box) {
  const guint8 *pixels = GST_VIDEO_FRAME_PLANE_DATA(frame, 0);
  gint stride = GST_VIDEO_FRAME_PLANE_STRIDE(frame, 0), x, y;
  gdouble sum = 0, count = 0;
  for (y = (gint)box->xyxy[1]; y < (gint)box->xyxy[3] && y < self->info.height; y++)
    for (x = (gint)box->xyxy[0] * 3; x < (gint)box->xyxy[2] * 3 && x < self->info.width * 3; x++) {
      sum += pixels[y * stride + x];
      count += 255;
    }
  return count == 0 ? 0 : (gfloat)(1 - sum / count);
}

static GstTensor *tensor(const gchar *id, GstTensorDataType type, gpointer data, gsize n, gsize columns) {
  gsize dims[2] = { n, columns };
  gsize bytes = n * MAX(columns, 1) * 4;
  GstBuffer *buffer = bytes ? gst_buffer_new_memdup(data, bytes) : gst_buffer_new();
  return gst_tensor_new_simple(g_quark_from_string(id), type, buffer, GST_TENSOR_DIM_ORDER_ROW_MAJOR,
      columns ? 2 : 1, dims);
}

static void answer(Fake *self, GstBuffer *buffer) {
  gsize n = plays(self, "rows") ? (gsize)self->number : (gsize)self->n, i;
  gsize columns = plays(self, "shape") ? 14 : 4;
  gfloat *boxes = g_new0(gfloat, n * columns + 1), *scores = g_new0(gfloat, n + 1);
  gint32 *labels = g_new0(gint32, n + 1);
  GstTensorDataType type = plays(self, "type") ? GST_TENSOR_DATA_TYPE_FLOAT32 : GST_TENSOR_DATA_TYPE_INT32;
  GstTensor **tensors = g_new0(GstTensor *, 4);
  guint count = 3;
  GstVideoFrame frame;
  if (gst_video_frame_map(&frame, &self->info, buffer, GST_MAP_READ)) {
    for (i = 0; i < n && i < (gsize)self->n; i++) {
      memcpy(boxes + i * columns, self->boxes[i].xyxy, sizeof self->boxes[i].xyxy);
      scores[i] = self->boxes[i].score < 0 ? darkness(self, &frame, &self->boxes[i]) : self->boxes[i].score;
      labels[i] = self->boxes[i].label;
    }
    gst_video_frame_unmap(&frame);
  }
  tensors[0] = tensor("vigie-boxes", GST_TENSOR_DATA_TYPE_FLOAT32, boxes, n, columns);
  tensors[1] = tensor("vigie-scores", GST_TENSOR_DATA_TYPE_FLOAT32, scores, plays(self, "unequal") ? n + 1 : n, 0);
  tensors[2] = tensor("vigie-labels", type, labels, n, 0);
  if (plays(self, "extra"))
    tensors[count++] = tensor("embedding", GST_TENSOR_DATA_TYPE_FLOAT32, boxes, n, columns);
  gst_tensor_meta_set(gst_buffer_add_tensor_meta(buffer), count, tensors);
  g_free(boxes);
  g_free(scores);
  g_free(labels);
}

static GType hailo_api(void) {
  static const gchar *tags[] = { NULL };
  static GType type = 0;
  if (!type) type = gst_meta_api_type_register("GstHailoTensorMetaAPI", tags);
  return type;
}

static gboolean hailo_init(GstMeta *meta, gpointer params, GstBuffer *buffer) {
  (void)params;
  (void)buffer;
  memset((guint8 *)meta + sizeof *meta, 0, 184 - sizeof *meta);
  return TRUE;
}

static gboolean hailo_transform(GstBuffer *to, GstMeta *meta, GstBuffer *from, GQuark type, gpointer data) {
  (void)to, (void)meta, (void)from, (void)type, (void)data;
  return FALSE;
}

static void put_float(guint8 *at, gfloat value) {
  memcpy(at, &value, sizeof value);
}

/* Writes a box as HailoRT does: y1 x1 y2 x2 as parts of the picture, then the score. */
static void put_box(Fake *self, guint8 *at, const Box *box, gfloat score) {
  put_float(at, box->xyxy[1] / (gfloat)self->info.height);
  put_float(at + 4, box->xyxy[0] / (gfloat)self->info.width);
  put_float(at + 8, box->xyxy[3] / (gfloat)self->info.height);
  put_float(at + 12, box->xyxy[2] / (gfloat)self->info.width);
  put_float(at + 16, score);
}

static gboolean is_of_frame(Fake *self, const Box *box) {
  return box->frame < 0 || box->frame == self->frames;
}

static gsize fill_by_class(Fake *self, guint8 *data, const gfloat *scores) {
  gsize at = 0, count_at;
  gint class, i, count;
  for (class = 0; class < self->output.classes; class++) {
    count_at = at;
    at += 4;
    for (i = count = 0; i < self->n; i++) {
      if (self->boxes[i].label != class || !is_of_frame(self, &self->boxes[i]) || count == self->output.max) continue;
      put_box(self, data + at, &self->boxes[i], scores[i]);
      at += 20;
      count++;
    }
    put_float(data + count_at, plays(self, "odd-count") ? (gfloat)self->number / 2 : (gfloat)count);
  }
  return at;
}

static gsize fill_by_score(Fake *self, guint8 *data, const gfloat *scores) {
  gsize at = 2;
  guint16 count = 0, class;
  gint i;
  for (i = 0; i < self->n && count < self->output.max; i++) {
    if (!is_of_frame(self, &self->boxes[i])) continue;
    put_box(self, data + at, &self->boxes[i], scores[i]);
    class = (guint16)self->boxes[i].label;
    memcpy(data + at + 20, &class, 2);
    at += 22;
    count++;
  }
  if (plays(self, "odd-count")) count = (guint16)self->number;
  memcpy(data, &count, 2);
  return at;
}

static void attach(Fake *self, GstBuffer *frame, const gchar *name, guint8 *data, gsize bytes) {
  static const GstMetaInfo *infos[3];
  static const gsize sizes[] = { 184, 448, 456 };
  static const gchar *names[] = { "HailoMeta184", "HailoMeta448", "HailoMeta456" };
  gint version = plays(self, "old-version") ? self->number : 0;
  GstBuffer *output = gst_buffer_new_wrapped(data, bytes);
  HailoMeta *meta;
  if (!infos[version])
    infos[version] =
        gst_meta_register(hailo_api(), names[version], sizes[version], hailo_init, NULL, hailo_transform);
  meta = (HailoMeta *)gst_buffer_add_meta(output, infos[version], NULL);
  g_strlcpy(meta->name, name, sizeof meta->name);
  meta->is_nms = TRUE;
  meta->shape[0] = (guint32)self->output.classes;
  meta->shape[1] = (guint32)self->output.max;
  gst_buffer_add_parent_buffer_meta(frame, output);
  gst_buffer_unref(output);
}

static void answer_as_hailo(Fake *self, GstBuffer *buffer) {
  gsize bytes = self->output.by_score ? 2 + (gsize)self->output.max * 22
                                      : (gsize)self->output.classes * (4 + (gsize)self->output.max * 20);
  guint8 *data = g_malloc(bytes);
  gfloat *scores = g_new0(gfloat, self->n + 1);
  GstVideoFrame frame;
  gsize i;
  /* HailoRT does not clear what earlier frames have left behind the last box. */
  for (i = 0; i < bytes; i++) data[i] = (guint8)(i * 197 + (gsize)self->frames * 31);
  if (gst_video_frame_map(&frame, &self->info, buffer, GST_MAP_READ)) {
    for (i = 0; i < (gsize)self->n; i++)
      scores[i] = self->boxes[i].score < 0 ? darkness(self, &frame, &self->boxes[i]) : self->boxes[i].score;
    gst_video_frame_unmap(&frame);
  }
  if (!plays(self, "garbage")) {
    if (self->output.by_score) fill_by_score(self, data, scores);
    else fill_by_class(self, data, scores);
  }
  attach(self, buffer, self->output.name, data, bytes);
  if (plays(self, "extra")) attach(self, buffer, "embedding", g_malloc0(512), 512);
  g_free(scores);
}

/* FALSE if the script names the frame's bytes and they are others. */
static gboolean is_named_frame(Fake *self, GstBuffer *buffer) {
  guint hash = 2166136261u;
  GstMapInfo map;
  gsize i;
  if (self->frames >= BOXES_MAX || !self->hashes[self->frames]) return TRUE;
  if (!gst_buffer_map(buffer, &map, GST_MAP_READ)) return FALSE;
  for (i = 0; i < map.size; i++) hash = (hash ^ map.data[i]) * 16777619u;
  gst_buffer_unmap(buffer, &map);
  return hash == self->hashes[self->frames];
}

/* Plays faults that end or block the process, or the element's thread. */
static void faults(Fake *self) {
  if (plays(self, "slow")) g_usleep((gulong)self->number * 1000);
  if (plays(self, "stall")) hang();
  if (plays(self, "segfault")) raise(SIGSEGV);
  if (plays(self, "g-error")) g_error("HAILO_STREAM_ABORTED(62): inference failed");
}

static GstFlowReturn transform(GstBaseTransform *base, GstBuffer *buffer) {
  Fake *self = (Fake *)base;
  GstBuffer *twin;
  faults(self);
  if (!is_named_frame(self, buffer)) {
    GST_ELEMENT_ERROR(self, STREAM, WRONG_TYPE, ("other frame"), ("the frame has other bytes than the script names"));
    return GST_FLOW_ERROR;
  }
  if (plays(self, "error")) {
    GST_ELEMENT_ERROR(self, RESOURCE, READ, ("no device"), ("the device was unplugged"));
    return GST_FLOW_ERROR;
  }
  if (plays(self, "drop")) return GST_BASE_TRANSFORM_FLOW_DROPPED;
  if (!plays(self, "none")) {
    if (self->is_hailo) answer_as_hailo(self, buffer);
    else answer(self, buffer);
  }
  if (plays(self, "twice")) {
    twin = gst_buffer_copy_region(buffer, GST_BUFFER_COPY_TIMESTAMPS | GST_BUFFER_COPY_MEMORY, 0, -1);
    answer(self, twin);
    gst_pad_push(base->srcpad, twin);
  }
  self->frames++;
  return GST_FLOW_OK;
}

static GstStateChangeReturn change_state(GstElement *element, GstStateChange change) {
  Fake *self = (Fake *)element;
  if (change == GST_STATE_CHANGE_PLAYING_TO_PAUSED && plays(self, "stall-stop")) hang();
  return GST_ELEMENT_CLASS(fake_parent_class)->change_state(element, change);
}

static void set_property(GObject *object, guint id, const GValue *value, GParamSpec *spec) {
  Fake *self = (Fake *)object;
  (void)spec;
  if (id == 2) {
    self->threads = g_value_get_int(value);
    return;
  }
  g_free(self->file);
  self->file = g_value_dup_string(value);
}

static void fake_class_init(FakeClass *class) {
  GObjectClass *object = G_OBJECT_CLASS(class);
  GstElementClass *element = GST_ELEMENT_CLASS(class);
  GstBaseTransformClass *base = GST_BASE_TRANSFORM_CLASS(class);
  object->set_property = set_property;
  g_object_class_install_property(object, 1,
      g_param_spec_string("model-file", "model", "what to play", NULL, G_PARAM_WRITABLE));
  g_object_class_install_property(object, 2,
      g_param_spec_int("threads", "threads", "as the real one has it", 1, 64, 1, G_PARAM_WRITABLE));
  gst_element_class_set_static_metadata(element, "fake", "Filter/Video", "plays answers and faults", "tests");
  gst_element_class_add_static_pad_template(element, &sink);
  gst_element_class_add_static_pad_template(element, &src);
  element->change_state = change_state;
  base->start = start;
  base->set_caps = set_caps;
  base->transform_ip = transform;
}

static void fake_init(Fake *self) {
  self->at = -1;
  self->boxes = g_new0(Box, BOXES_MAX);
  self->hashes = g_new0(guint, BOXES_MAX);
  gst_base_transform_set_in_place(GST_BASE_TRANSFORM(self), TRUE);
}

typedef struct {
  Fake parent;
} FakeHailo;

typedef struct {
  FakeClass parent;
} FakeHailoClass;

GType fake_hailo_get_type(void);
G_DEFINE_TYPE(FakeHailo, fake_hailo, fake_get_type())

static void set_hailo_property(GObject *object, guint id, const GValue *value, GParamSpec *spec) {
  if (id == 3) set_property(object, 1, value, spec);
}

static void fake_hailo_class_init(FakeHailoClass *class) {
  GObjectClass *object = G_OBJECT_CLASS(class);
  object->set_property = set_hailo_property;
  g_object_class_install_property(object, 3,
      g_param_spec_string("hef-path", "network", "what to play", NULL, G_PARAM_WRITABLE));
  g_object_class_install_property(object, 4,
      g_param_spec_boolean("force-writable", "writable", "as the real one has it", FALSE, G_PARAM_WRITABLE));
}

static void fake_hailo_init(FakeHailo *self) {
  ((Fake *)self)->is_hailo = TRUE;
}

/*
 * Tracer that lets a sink called "sink" pause at the beginning of its change to PLAYING, after it has been told of it:
 * the moment in which a fast source can fill it. Switched on by GST_TRACERS=slowsink.
 */
typedef struct {
  GstTracer parent;
} SlowSink;

typedef struct {
  GstTracerClass parent;
} SlowSinkClass;

GType slow_sink_get_type(void);
G_DEFINE_TYPE(SlowSink, slow_sink, GST_TYPE_TRACER)

static void pause_sink(GObject *tracer, GstClockTime now, GstElement *element, GstStateChange change) {
  (void)tracer;
  (void)now;
  if (change == GST_STATE_CHANGE_PAUSED_TO_PLAYING && g_str_equal(GST_OBJECT_NAME(element), "sink"))
    g_usleep(100000);
}

static void slow_sink_class_init(SlowSinkClass *class) {
  (void)class;
}

static void slow_sink_init(SlowSink *self) {
  gst_tracing_register_hook(GST_TRACER(self), "element-change-state-pre", G_CALLBACK(pause_sink));
}

static gboolean plugin_init(GstPlugin *plugin) {
  return gst_tracer_register(plugin, "slowsink", slow_sink_get_type()) &&
      gst_element_register(plugin, "tfliteinference", GST_RANK_NONE, fake_get_type()) &&
      gst_element_register(plugin, "hailonet", GST_RANK_NONE, fake_hailo_get_type());
}

#define PACKAGE "vigie-test"
GST_PLUGIN_DEFINE(GST_VERSION_MAJOR, GST_VERSION_MINOR, fakeelement, "an element that plays faults", plugin_init,
    "1.0", "LGPL", PACKAGE, "https://gstreamer.freedesktop.org/")
