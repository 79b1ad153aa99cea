/*
 * An inference element that runs no model: it reports the detections of its "model" file, and plays the faults that the
 * file names. It has the name of an element that Debian lacks. Lines of the file:
 *
 *   box X1 Y1 X2 Y2 SCORE LABEL    one detection; SCORE "dark" is 1 - the mean of the box's pixels / 255
 *   fault NAME [NUMBER]            the fault that it plays, see faults() and the rest
 *   from N                         frame at which it begins, 0 (the default) being the first
 *   while PATH                     only as long as this file is there (the device is unplugged)
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gst/analytics/analytics.h>
#include <gst/base/gstbasetransform.h>
#include <gst/gst.h>
#include <gst/video/video.h>

#define BOXES_MAX 8

typedef struct {
  gfloat xyxy[4], score;
  gint label;
} Box;

typedef struct {
  GstBaseTransform parent;
  gchar *file, *fault, *condition;
  gint number, from, threads, frames, n;
  Box boxes[BOXES_MAX];
  gboolean stalls;
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
  if (sscanf(line, "fault %199s %d", word, &self->number) >= 1) {
    g_free(self->fault);
    self->fault = g_strdup(word);
  } else if (sscanf(line, "while %199s", word) == 1) {
    g_free(self->condition);
    self->condition = g_strdup(word);
  } else if (!strncmp(line, "box ", 4) && self->n < BOXES_MAX) {
    at = self->boxes[self->n].xyxy;
    if (sscanf(line, "box %f %f %f %f %19s %d", at, at + 1, at + 2, at + 3, score, &label) != 6) return;
    self->boxes[self->n].score = strcmp(score, "dark") ? (gfloat)atof(score) : -1;
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
  if (plays(self, "refuse-caps")) return FALSE;
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
  const gchar *name = plays(self, "name") ? "faces" : "vigie-boxes";
  GstTensor **tensors = g_new0(GstTensor *, 4);
  guint count = 3;
  GstVideoFrame frame;
  if (gst_video_frame_map(&frame, &self->info, buffer, GST_MAP_READ)) {
    for (i = 0; i < n && i < (gsize)self->n; i++) {
      memcpy(boxes + i * columns, self->boxes[i].xyxy, sizeof self->boxes[i].xyxy);
      scores[i] = self->boxes[i].score < 0 ? darkness(self, &frame, &self->boxes[i]) : self->boxes[i].score;
      labels[i] = plays(self, "label") ? self->number : self->boxes[i].label;
    }
    gst_video_frame_unmap(&frame);
  }
  tensors[0] = tensor(name, GST_TENSOR_DATA_TYPE_FLOAT32, boxes, n, columns);
  tensors[1] = tensor("vigie-scores", GST_TENSOR_DATA_TYPE_FLOAT32, scores, plays(self, "unequal") ? n + 1 : n, 0);
  tensors[2] = tensor("vigie-labels", type, labels, n, 0);
  if (plays(self, "extra"))
    tensors[count++] = tensor("embedding", GST_TENSOR_DATA_TYPE_FLOAT32, boxes, n, columns);
  gst_tensor_meta_set(gst_buffer_add_tensor_meta(buffer), count, tensors);
  g_free(boxes);
  g_free(scores);
  g_free(labels);
}

/* Plays faults that end or block the process, or the element's thread. */
static void faults(Fake *self) {
  if (plays(self, "slow")) g_usleep((gulong)self->number * 1000);
  if (plays(self, "stall")) hang();
  if (plays(self, "segfault")) raise(SIGSEGV);
  if (plays(self, "abort")) abort();
  if (plays(self, "exit")) exit(self->number);
  if (plays(self, "kill")) raise(SIGKILL);
}

static GstFlowReturn transform(GstBaseTransform *base, GstBuffer *buffer) {
  Fake *self = (Fake *)base;
  GstBuffer *twin;
  faults(self);
  self->stalls = plays(self, "error-and-stall");
  if (plays(self, "error") || self->stalls) {
    GST_ELEMENT_ERROR(self, RESOURCE, READ, ("no device"), ("the device was unplugged"));
    return GST_FLOW_ERROR;
  }
  if (plays(self, "drop")) return GST_BASE_TRANSFORM_FLOW_DROPPED;
  if (plays(self, "late")) GST_BUFFER_PTS(buffer) -= MIN(GST_BUFFER_PTS(buffer), GST_SECOND / 5);
  if (plays(self, "untimed")) GST_BUFFER_PTS(buffer) = GST_CLOCK_TIME_NONE;
  if (!plays(self, "none")) answer(self, buffer);
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
  if (self->stalls && change == GST_STATE_CHANGE_PLAYING_TO_PAUSED) hang();
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
  gst_base_transform_set_in_place(GST_BASE_TRANSFORM(self), TRUE);
}

static gboolean plugin_init(GstPlugin *plugin) {
  return gst_element_register(plugin, "tfliteinference", GST_RANK_NONE, fake_get_type());
}

#define PACKAGE "vigie-test"
GST_PLUGIN_DEFINE(GST_VERSION_MAJOR, GST_VERSION_MINOR, fakeelement, "an element that plays faults", plugin_init,
    "1.0", "LGPL", PACKAGE, "https://gstreamer.freedesktop.org/")
