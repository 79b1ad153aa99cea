/** Results that an inference element has put on a buffer. The buffer's own bytes, a picture, are not read. */
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "owners.h"

namespace vigie {

/** A detector's own outputs are a few hundred KB. What is longer is not given out. */
constexpr size_t kOutputBytesMax = 16 * 1024 * 1024;
/** Outputs of hailonet that are read. A detector has one; more are refused by their number. */
constexpr size_t kHailoOutputsMax = 16;

/** GstTensor of a GstTensorMeta. */
struct Tensor {
  std::string id;
  /** GstTensorDataType. */
  int type;
  bool is_row_major;
  std::vector<size_t> dims;
  /** Null if it is longer than kOutputBytesMax. */
  BufferOwner data;
};

/** GstAnalyticsODMtd of a GstAnalyticsRelationMeta. */
struct Detection {
  std::string label;
  float score;
  /** Left, top, width and height, in pixels of the buffer's picture. */
  int xywh[4];
};

/** Content of a GstHailoTensorMeta and the buffer that it describes. */
struct HailoContent {
  std::string name;
  bool is_nms;
  uint32_t shape[4];
  BufferOwner data;
};

struct HailoOutput {
  /** Size of the metadata, which depends on HailoRT's version. */
  size_t meta_bytes;
  /** Absent for an unknown layout. */
  std::optional<HailoContent> content;
};

struct Inferred {
  GstClockTime pts;
  std::vector<Tensor> tensors;
  std::vector<Detection> detections;
  std::vector<HailoOutput> hailo;
};

Inferred ReadMetadata(GstBuffer* buffer);

}  // namespace vigie
