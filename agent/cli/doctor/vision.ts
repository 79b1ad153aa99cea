/** Findings about camera, decoder, model and speed, from a trial of the real vision process. */
import { shownSource } from '../../contract/camera-address.ts';
import type { Config } from '../../contract/config.ts';
import { DETECTOR_BACKENDS } from '../../contract/detector-backend.ts';
import { type Finding, failed, ok, unknown } from '../../contract/finding.ts';
import { FINDING_TEXTS } from '../../local/finding-texts.ts';
import { INTERVAL_RATIO_MAX, viewFindings } from '../../local/view-advice.ts';
import { meanInferenceMs } from '../../supervisor/inference-time.ts';
import type { VisionTrial } from './vision-trial.ts';

/** Ratio of the configured rate below which a camera needs a technician. */
const RATE_RATIO_MIN = 0.8;

const FOREIGN_FIX =
  'docs/guide/accelerators.md explains what to do for each reason, and how to switch back to the CPU';

/** Returns the findings. `trial` used the configured camera, or a test picture if there is none. */
export function visionFindings(config: Config, trial: VisionTrial): Finding[] {
  if (trial.detector === undefined) {
    return [unknown('camera', 'not tried: the detector did not start'), noDetector(config, trial)];
  }
  const { model, sha256, provider, fallback, library } = trial.detector;
  const place = library === undefined ? provider : `${provider} of ${library}`;
  const detector =
    fallback === null
      ? ok('detector', `${model}, sha256 ${sha256.slice(0, 12)}…, on ${place}`)
      : failed(
          'detector',
          `${model} runs on ${place}: ${fallback}`,
          DETECTOR_BACKENDS[config.detector.backend].runsForeignCode
            ? FOREIGN_FIX
            : 'correct detector.providers, or accept cpu: [cpu]',
        );
  return [
    ...cameraFindings(config, trial),
    detector,
    ...speedFindings(config, trial),
    ...viewFindings(trial.view, FINDING_TEXTS.en),
  ];
}

function noDetector({ detector }: Config, { failed: failure, died }: VisionTrial): Finding {
  const reason =
    failure?.message ?? (died === undefined ? 'it was not loaded in time' : `vision died (${died})`);
  const fix =
    failure?.error === 'config'
      ? 'correct detector.model and detector.input; `vigie check` lists other errors'
      : 'reinstall the package: its model files must be unchanged';
  return failed(
    'detector',
    `${detector.model}: ${reason}`,
    DETECTOR_BACKENDS[detector.backend].runsForeignCode ? FOREIGN_FIX : fix,
  );
}

function cameraFindings({ camera }: Config, trial: VisionTrial): Finding[] {
  if (camera === undefined) return [unknown('camera', 'none in the configuration; a test picture was used')];
  const source = shownSource(camera.source);
  const { stream, lostReason, failed: failure, died } = trial;
  if (stream === undefined) {
    // Vision's message names the setting itself, and often ends with the fix.
    const messageParts = (failure?.message ?? lostReason)?.replace(/^camera\.source: /, '').split('; ');
    const silence = died === undefined ? 'no picture in time' : `vision died (${died})`;
    const [reason = `${source}: ${silence}`, remedy = cameraFix(camera.source, reason)] = messageParts ?? [];
    return [failed('camera', reason, remedy)];
  }
  const { source: size, fps, decoder } = stream;
  const measured = rate(trial);
  const read = readRate(trial);
  const announced = fps === null ? 'no frame rate announced' : `${round(fps)} fps announced`;
  const delivered = read === undefined ? '' : `, ${round(read)} delivered`;
  const streamText = `${size.widthPx}×${size.heightPx}, ${announced}${delivered}`;
  const targetFps = Math.min(camera.fps, fps ?? camera.fps);
  if (measured === undefined) {
    const detail = `${source}: ${streamText}, but only ${trial.frames} frames came`;
    return [failed('camera', detail, 'check the network and the camera’s bit rate'), ok('decoder', decoder)];
  }
  const detail = `${source}: ${streamText}, ${round(measured)} analysed of ${camera.fps} wanted`;
  const slow = measured < targetFps * RATE_RATIO_MIN;
  const fix = 'lower camera.fps or detector.input, or the camera’s own resolution (a substream)';
  return [slow ? failed('camera', detail, fix) : ok('camera', detail), ok('decoder', decoder)];
}

/** Returns the frames per second that the source really delivers; undefined if the observation was too short. */
function readRate({ firstStats, stats }: VisionTrial): number | undefined {
  if (firstStats === undefined || stats === undefined || stats.wallMs <= firstStats.wallMs) return undefined;
  return ((stats.framesRead - firstStats.framesRead) * 1000) / (stats.wallMs - firstStats.wallMs);
}

/** Returns the analysed frames per second of wall time; undefined below two frames. */
function rate({ watchedFrames, watchedMs }: VisionTrial): number | undefined {
  return watchedFrames < 2 || watchedMs <= 0 ? undefined : ((watchedFrames - 1) * 1000) / watchedMs;
}

function cameraFix(source: string, reason: string): string {
  if (/refuses the user or password/.test(reason)) {
    return 'correct user and password in camera.source (or VIGIE_CAMERA_SOURCE)';
  }
  if (/has no stream at/.test(reason)) return 'the camera answers, but has no such stream: correct the path';
  if (source.startsWith('rtsp'))
    return 'check cable, address and port of the camera, and that RTSP is switched on there';
  if (source.startsWith('v4l2:'))
    return 'check that the device exists, that no program holds it, and that the user is in group video';
  if (source.startsWith('libcamera:'))
    return 'check the ribbon cable; `cam --list` (libcamera-tools) must show the camera';
  return 'check that the file exists and is a video';
}

function speedFindings({ camera, detector }: Config, trial: VisionTrial): Finding[] {
  const frameMs = meanInferenceMs(trial.stats);
  if (frameMs === null) return [unknown('inference', 'no frame was analysed')];
  const detail = `${round(frameMs)} ms a frame at ${detector.input.join('×')}`;
  if (camera === undefined) return [ok('inference', detail)];
  const intervalMs = 1000 / camera.fps;
  const loadDetail = `${detail}, ${Math.round((100 * frameMs) / intervalMs)} % of the ${round(intervalMs)} ms between frames`;
  if (frameMs <= intervalMs * INTERVAL_RATIO_MAX) return [ok('inference', loadDetail)];
  return [failed('inference', loadDetail, 'lower camera.fps or detector.input, or choose a faster provider')];
}

function round(value: number): number {
  return Number(value.toPrecision(3));
}
