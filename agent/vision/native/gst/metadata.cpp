#include "metadata.h"

#include <gst/analytics/analytics.h>

#include <cstring>

namespace vigie {
namespace {

std::string TextOf(GQuark quark) {
  const gchar* text = g_quark_to_string(quark);
  return text ? text : "";
}

BufferOwner ShortOrNull(GstBuffer* buffer) {
  if (!buffer || gst_buffer_get_size(buffer) > kOutputBytesMax) return nullptr;
  return BufferOwner(gst_buffer_ref(buffer));
}

std::vector<Tensor> TensorsOf(GstBuffer* buffer) {
  std::vector<Tensor> tensors;
  GstTensorMeta* meta = gst_buffer_get_tensor_meta(buffer);
  for (gsize i = 0; meta && i < meta->num_tensors; i++) {
    const GstTensor* tensor = gst_tensor_meta_get(meta, i);
    tensors.push_back({TextOf(tensor->id), tensor->data_type, tensor->dims_order == GST_TENSOR_DIM_ORDER_ROW_MAJOR,
                       std::vector<size_t>(tensor->dims, tensor->dims + tensor->num_dims), ShortOrNull(tensor->data)});
  }
  return tensors;
}

std::vector<Detection> DetectionsOf(GstBuffer* buffer) {
  std::vector<Detection> detections;
  GstAnalyticsRelationMeta* meta = gst_buffer_get_analytics_relation_meta(buffer);
  gpointer state = nullptr;
  GstAnalyticsODMtd found;
  while (meta && gst_analytics_relation_meta_iterate(meta, &state, gst_analytics_od_mtd_get_mtd_type(), &found)) {
    Detection detection = {};
    auto& [left, top, width, height] = detection.xywh;
    if (!gst_analytics_od_mtd_get_location(&found, &left, &top, &width, &height, &detection.score)) continue;
    detection.label = TextOf(gst_analytics_od_mtd_get_obj_type(&found));
    detections.push_back(std::move(detection));
  }
  return detections;
}

/**
 * Metadata that HailoRT's element hailonet attaches to each of its outputs. Each output is a buffer of its
 * own, which hangs on the frame by GstParentBufferMeta. Nothing of HailoRT is linked or included: the
 * metadata is found by the name of its type and accepted by its size. This is the layout of HailoRT 4.22
 * to 5.2. Versions 4.17 to 4.19 have 448 bytes, 4.20 and 4.21 have 456.
 */
struct HailoTensorMeta {
  GstMeta meta;
  char name[128];
  gint32 type;
  guint8 is_nms;
  guint32 shape[4];
  float quantisation[4];
};
static_assert(sizeof(void*) != 8 || sizeof(HailoTensorMeta) == 184, "layout of HailoRT 4.22 to 5.2");

std::vector<HailoOutput> HailoOutputsOf(GstBuffer* buffer) {
  std::vector<HailoOutput> outputs;
  const GType api = g_type_from_name("GstHailoTensorMetaAPI");
  gpointer state = nullptr;
  while (api && outputs.size() < kHailoOutputsMax) {
    GstMeta* parent = gst_buffer_iterate_meta_filtered(buffer, &state, GST_PARENT_BUFFER_META_API_TYPE);
    if (!parent) break;
    GstBuffer* output = reinterpret_cast<GstParentBufferMeta*>(parent)->buffer;
    const GstMeta* meta = gst_buffer_get_meta(output, api);
    if (!meta) continue;
    HailoOutput& one = outputs.emplace_back(HailoOutput{meta->info->size, std::nullopt});
    if (one.meta_bytes != sizeof(HailoTensorMeta)) continue;
    const auto* tensor = reinterpret_cast<const HailoTensorMeta*>(meta);
    one.content.emplace();
    one.content->name.assign(tensor->name, strnlen(tensor->name, sizeof(tensor->name)));
    one.content->is_nms = tensor->is_nms == 1;
    std::memcpy(one.content->shape, tensor->shape, sizeof(tensor->shape));
    one.content->data = ShortOrNull(output);
  }
  return outputs;
}

}  // namespace

Inferred ReadMetadata(GstBuffer* buffer) {
  return {GST_BUFFER_PTS(buffer), TensorsOf(buffer), DetectionsOf(buffer), HailoOutputsOf(buffer)};
}

}  // namespace vigie
