/** Creates the parts of a camera for its source, once. All openings reuse them. */
import type { Clock } from '../../base/clock.ts';
import { AgentError, assert } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { SizePx } from '../../contract/geometry.ts';
import { NativePipeline } from '../native/gstreamer.ts';
import { type CellsOf, FrameReader } from './frame-reader.ts';
import { KeyFrameMode } from './key-frame-mode.ts';
import type { PrivacyMasks } from './mask.ts';
import { COMMON_ELEMENTS, PACING_ELEMENTS, pipelineText } from './pipeline.ts';
import { chooseDecoders, type Decoders, installedElements, missingElement } from './presets.ts';
import { ReturnProbe } from './return-probe.ts';
import { type Resolve, type Source, sourceOf } from './source.ts';
import type { StillRing } from './still-ring.ts';
import { Timeline } from './timeline.ts';

export interface PartsOptions {
  readonly source: string;
  /** Analysed frames per second; null means all frames. */
  readonly fps: number | null;
  /** Size of the letterboxed frame; multiples of 32. */
  readonly input: SizePx;
  readonly mode: 'live' | 'replay';
  /** Present if each glimpse states its motion. */
  readonly cellsOf?: CellsOf | undefined;
  /** Longest side of a still, in px; the size of the source by default. */
  readonly stillLongSidePx?: number | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  /** True if only key frames may be decoded at times (key-frame-mode.ts). */
  readonly gated?: boolean | undefined;
  /** Resolves the camera's host name; the system resolver if absent. */
  readonly resolveHost?: Resolve | undefined;
}

/**
 * Objects that outlive an opening, and the callback for a source that was unreachable at `downMs` and answers again.
 */
interface Surroundings {
  readonly ring: StillRing;
  readonly masks: PrivacyMasks;
  onReturn(downMs: number): void;
}

export interface Parts {
  readonly source: Source;
  readonly decoders: Decoders;
  readonly pipeline: NativePipeline;
  readonly reader: FrameReader;
  readonly returnProbe: ReturnProbe;
  readonly keyFrames: KeyFrameMode | undefined;
}

const systemLookup: Resolve = async (host) => {
  // Loaded on the first lookup: the module reads resolv.conf, and vision in its unit resolves no names.
  const { lookup } = await import('node:dns/promises');
  const addresses = await lookup(host, { all: true });
  return addresses.map(({ address }) => address);
};

/**
 * Assembles the parts without opening the source.
 *
 * @throws `config` for a source that can never work, or if a GStreamer element is missing.
 */
export async function assembleParts(options: PartsOptions, surroundings: Surroundings): Promise<Parts> {
  const { source: text, fps, input, mode, clock, log } = options;
  const { ring, masks } = surroundings;
  assert(input.widthPx % 32 === 0 && input.heightPx % 32 === 0, 'the input size is a multiple of 32');
  const source = sourceOf(text, options.resolveHost ?? systemLookup);
  const live = mode === 'live';
  if (!live && !source.recording) {
    throw new AgentError(
      'config',
      `camera.source: ${source.label} cannot be replayed; use file:/path/clip.mp4`,
    );
  }
  source.check();
  const paced = live && source.recording;
  const installed = await installedElements();
  for (const element of [...source.elements, ...COMMON_ELEMENTS, ...(paced ? PACING_ELEMENTS : [])]) {
    if (!installed.has(element)) throw missingElement(element);
  }
  const decoders = chooseDecoders(installed);
  const gated = options.gated === true && source.recording === false && source.decoders !== undefined;
  const sourceText = source.text(decoders, gated);
  const pipeline = new NativePipeline(pipelineText({ sourceText, fps, live, paced }), clock);
  const timeline = new Timeline(clock, live);
  const { cellsOf, stillLongSidePx = Number.POSITIVE_INFINITY } = options;
  const reader = new FrameReader({
    pipeline,
    timeline,
    ring,
    masks,
    input,
    fps,
    cellsOf,
    stillLongSidePx,
  });
  const returnProbe = new ReturnProbe(source.probe, clock, (downMs) => surroundings.onReturn(downMs));
  log.debug({ source: source.label, decoders }, 'camera starts');
  const keyFrames = gated ? new KeyFrameMode(pipeline, decoders, clock) : undefined;
  return { source, decoders, pipeline, reader, returnProbe, keyFrames };
}
