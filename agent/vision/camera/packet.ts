/**
 * One sample of the pipeline's sink, decoded. Everything comes through gdppay, whose header carries the
 * time stamp (GStreamer Data Protocol 1.0: gst-plugins-bad, gst/gdp/dataprotocol.c): 62 bytes, type at 4
 * (uint16 BE), PTS in ns at 10 (uint64 BE), offset at 26 (uint64 BE), payload from 62. The sample's caps
 * name the branch that it comes from (pipeline.ts).
 */
import type { SampleCaps } from 'node-gstreamer-superficial';
import { AgentError } from '../../base/errors.ts';
import type { SizePx } from '../../contract/geometry.ts';
import type { YuvPlanes } from '../../contract/picture.ts';

const HEADER_BYTES = 62;
const TYPE_BUFFER = 1;
const TYPE_CAPS = 2;
/** GST_CLOCK_TIME_NONE. */
const NO_TIME = 0xffff_ffff_ffff_ffffn;

/** The source's frames are of this size from now on, in square pixels. */
export interface Shape {
  readonly kind: 'shape';
  readonly source: SizePx;
}

/** A frame follows. */
export interface Gauge {
  readonly kind: 'gauge';
  /** Grows with the height of the source. */
  readonly bytes: number;
}

export interface StillPacket {
  readonly kind: 'still';
  readonly ptsNs: bigint;
  readonly jpeg: Uint8Array;
}

/** The planes that follow are of this size. */
export interface PlanesShape {
  readonly kind: 'planes-shape';
  readonly size: SizePx;
}

export interface PlanesPacket {
  readonly kind: 'planes';
  readonly ptsNs: bigint;
  /** I420 as GStreamer lays it out. */
  readonly bytes: Uint8Array;
}

export interface FinePacket {
  readonly kind: 'fine';
  readonly ptsNs: bigint;
  readonly rgb: Uint8Array;
}

export interface FramePacket {
  readonly kind: 'frame';
  readonly ptsNs: bigint;
  /** Counts the frames that entered the letterbox since the pipeline was opened, from 0. */
  readonly order: number;
  readonly rgb: Uint8Array;
}

export type Packet = Shape | Gauge | StillPacket | PlanesShape | PlanesPacket | FinePacket | FramePacket;

/** Length of the sample that holds a letterboxed picture. */
export function frameBytes({ widthPx, heightPx }: SizePx): number {
  return HEADER_BYTES + widthPx * heightPx * 3;
}

/**
 * The packet in a sample; undefined for the protocol's other messages and for buffers without a time.
 * `input` is the size of the letterboxed frames.
 */
export function decodePacket(buffer: Buffer, { branch }: SampleCaps, input: SizePx): Packet | undefined {
  if (buffer.length < HEADER_BYTES) throw new AgentError('bug', 'GDP packet shorter than its header');
  const type = buffer.readUInt16BE(4);
  const payload = buffer.subarray(HEADER_BYTES);
  if (type === TYPE_CAPS && branch === 'gauge') {
    // The gauge is one pixel wide: in square pixels that is the width of the source.
    const caps = parseCaps(payload.toString('latin1'));
    return caps && { kind: 'shape', source: caps.size };
  }
  if (type === TYPE_CAPS && branch === 'planes') {
    const caps = parseCaps(payload.toString('latin1'));
    return caps && { kind: 'planes-shape', size: caps.size };
  }
  if (type !== TYPE_BUFFER) return undefined;
  if (branch === 'gauge') return { kind: 'gauge', bytes: payload.length };
  const ptsNs = buffer.readBigUInt64BE(10);
  if (ptsNs === NO_TIME) return undefined;
  if (branch === 'still') return { kind: 'still', ptsNs, jpeg: payload };
  if (branch === 'planes') return { kind: 'planes', ptsNs, bytes: payload };
  if (branch === 'fine') return { kind: 'fine', ptsNs, rgb: payload };
  if (branch !== 'frame') throw new AgentError('bug', `GDP sample of an unknown branch: ${branch}`);
  if (buffer.length !== frameBytes(input)) {
    throw new AgentError(
      'bug',
      `RGB frame of ${payload.length} bytes for ${input.widthPx}×${input.heightPx}`,
    );
  }
  return { kind: 'frame', ptsNs, order: Number(buffer.readBigUInt64BE(26)), rgb: payload };
}

/**
 * The three planes of I420 in the layout that GStreamer gives a plain buffer (gst-plugins-base, video-info.c): rows of
 * brightness padded to 4 bytes, an even number of them, then blue difference, then red, likewise. Undefined where the
 * bytes are not those of a picture of this size: it was among packets that were dropped that the size changed.
 */
export function planesOf(bytes: Uint8Array, size: SizePx): YuvPlanes | undefined {
  const rows = size.heightPx + (size.heightPx % 2);
  const strideY = padded(size.widthPx);
  const strideUv = padded(Math.ceil(size.widthPx / 2));
  const [ofY, ofUv] = [strideY * rows, (strideUv * rows) / 2];
  if (bytes.length !== ofY + 2 * ofUv) return undefined;
  const y = bytes.subarray(0, ofY);
  const u = bytes.subarray(ofY, ofY + ofUv);
  return { size, y, u, v: bytes.subarray(ofY + ofUv), strideY, strideUv };
}

function padded(bytes: number): number {
  return Math.ceil(bytes / 4) * 4;
}

/**
 * Size in square pixels and rate (0 where absent) in the text form of the caps of raw video; undefined for
 * the caps of a pipeline that is down.
 */
export function parseCaps(text: unknown): { size: SizePx; fps: number } | undefined {
  if (typeof text !== 'string' || text === 'NULL') return undefined;
  const width = Number(/\bwidth=\(int\)(\d+)/.exec(text)?.[1]);
  const height = Number(/\bheight=\(int\)(\d+)/.exec(text)?.[1]);
  if (!Number.isInteger(width) || !Number.isInteger(height))
    throw new AgentError('bug', `caps without a size: ${text}`);
  const fraction = (name: string, otherwise: number): number => {
    const [, over, under] = new RegExp(`\\b${name}=\\(fraction\\)(\\d+)/(\\d+)`).exec(text) ?? [];
    return over === undefined || Number(under) === 0 ? otherwise : Number(over) / Number(under);
  };
  const widthPx = Math.round(width * fraction('pixel-aspect-ratio', 1));
  return { size: { widthPx, heightPx: height }, fps: fraction('framerate', 0) };
}
