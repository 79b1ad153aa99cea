/**
 * Plays the alarm: two short tones, made by Web Audio.
 *
 * A browser allows sound only after a click or a key in the tab, unless its settings allow it.
 */

/** Pitches of the two tones in Hz; a rising pair does not sound like a telephone. */
const TONES_HZ = [784, 1175] as const;
/** Duration of one tone in s, and of the pause after it. */
const TONE_S = 0.18;
const PAUSE_S = 0.09;
/** Volume, 0 to 1: a desk is shared. */
const VOLUME = 0.4;
/** Time in s in which a tone rises and falls, so that it does not click. */
const EDGE_S = 0.015;
/** Time in ms after which a browser that has not started its sound is taken to block it. */
const START_MS = 700;

let context: AudioContext | undefined;
/** Number of alarms that are being played. */
let playCount = 0;

/** Resolves with false if the browser blocks sound in this tab. */
export async function isSoundAllowed(): Promise<boolean> {
  const output = await startOutput();
  if (output !== undefined) endOutput(output);
  return output !== undefined;
}

/** Plays both tones. Resolves with false if the browser blocks them. */
export async function playTones(): Promise<boolean> {
  const output = await startOutput();
  if (output === undefined) return false;
  const tones = TONES_HZ.map((pitchHz, index) =>
    playTone(output, pitchHz, output.currentTime + index * (TONE_S + PAUSE_S)),
  );
  playCount += 1;
  tones.at(-1)?.addEventListener('ended', () => {
    playCount -= 1;
    endOutput(output);
  });
  return true;
}

async function startOutput(): Promise<AudioContext | undefined> {
  if (!('AudioContext' in window)) return undefined;
  context ??= new AudioContext();
  if (context.state !== 'running') {
    const late = new Promise((resolve) => setTimeout(resolve, START_MS));
    await Promise.race([context.resume(), late]);
  }
  return context.state === 'running' ? context : undefined;
}

/** Stops the output between alarms, because a running one costs CPU time all day. */
function endOutput(output: AudioContext): void {
  if (playCount === 0) void output.suspend();
}

function playTone(output: AudioContext, pitchHz: number, atS: number): OscillatorNode {
  const tone = output.createOscillator();
  const volume = output.createGain();
  tone.type = 'triangle';
  tone.frequency.value = pitchHz;
  volume.gain.setValueAtTime(0, atS);
  volume.gain.linearRampToValueAtTime(VOLUME, atS + EDGE_S);
  volume.gain.setValueAtTime(VOLUME, atS + TONE_S - EDGE_S);
  volume.gain.linearRampToValueAtTime(0, atS + TONE_S);
  tone.connect(volume).connect(output.destination);
  tone.start(atS);
  tone.stop(atS + TONE_S);
  return tone;
}
