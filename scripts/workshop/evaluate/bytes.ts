/**
 * `evaluate bytes`: measures the bytes that a box sends in an hour at a real broker, compared with the H.264 stream of
 * the same camera. From the measured sizes it computes the load of a room's broker.
 *
 * The agent analyses the street clip once, at its own speed, with the demo's rules, which fire more often than a
 * street's would. Counted are whole MQTT packets as the room's subscriber receives them.
 */
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { connectAsync, type IPublishPacket } from 'mqtt';
import { systemClock } from '../../../agent/base/clock.ts';
import { AgentError } from '../../../agent/base/errors.ts';
import { makeLogger } from '../../../agent/base/log.ts';
import { modelsDir, packageRoot } from '../../../agent/base/package-root.ts';
import { inspectText } from '../../../agent/config/load.ts';
import type { Config } from '../../../agent/contract/config.ts';
import type { VigieEvent } from '../../../agent/contract/event.ts';
import { Agent } from '../../../agent/main.ts';
import type { CertificateAuthority } from '../../lib/certificates.ts';
import { roomBroker } from '../../lib/mosquitto.ts';
import { ARCHIVE } from '../../products/room/contract/terms.ts';

/** Same as in the demo's config.yaml. */
const [SITE, BOX] = ['demo', 'square-1'];

/** Usual setting of a camera's main stream: variable bit rate with a cap, a key frame every 5 s (10 fps). */
const H264 = ['-c:v', 'libx264', '-preset', 'veryfast', '-crf', '23', '-maxrate', '2M', '-bufsize', '4M'];
const KEY_FRAMES = ['-g', '50', '-pix_fmt', 'yuv420p', '-an', '-f', 'h264'];

/** Overhead of a TLS 1.3 record with AES-GCM: header 5, content type 1, tag 16 (RFC 8446, 5.2). */
const TLS_RECORD_BYTES = 22;
/** Headers of IPv4 (20) and TCP with timestamps (32), for each segment of at most 1,448 bytes. */
const SEGMENT_HEADERS_BYTES = 52;
const SEGMENT_BYTES = 1448;

/** Street on which rules fire four times an hour, day and night. */
const QUIET_INCIDENTS_PER_HOUR = 4;
const HEALTH_PER_HOUR = 120;

const PARTS = ['event', 'snapshot', 'health', 'status'] as const;
type Part = (typeof PARTS)[number];

interface PartMetrics {
  readonly messages: number;
  /** MQTT packets. */
  readonly bytes: number;
  /** Computed size with TLS, TCP and IP. */
  readonly wireBytes: number;
}

/** Traffic of an hour with this number of incidents: their events, a snapshot each, and the health reports. */
interface Hour {
  readonly incidents: number;
  readonly messages: number;
  readonly bytes: number;
  readonly wireBytes: number;
  /** Part of `wireBytes`. */
  readonly snapshotWireBytes: number;
}

interface BytesMetrics {
  readonly seconds: number;
  readonly parts: Readonly<Record<Part, PartMetrics>>;
  /** Two hours, one with the clip's incidents and one with a street's. */
  readonly hours: readonly Hour[];
  readonly h264: { readonly bytesPerHour: number; readonly mbitPerS: number };
}

export async function measureBytes(clip: string, say: (line: string) => void): Promise<BytesMetrics> {
  if (!existsSync(clip)) throw new AgentError('config', `${clip}: no such clip; name another with --clip`);
  const dir = mkdtempSync(join(tmpdir(), 'vigie-bytes-'));
  try {
    say('encoding the clip as H.264');
    const video = await encode(clip, dir);
    const packets = await watch(clip, dir, video.seconds, say);
    return metricsOf(packets, video);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

interface Video {
  readonly bytes: number;
  readonly seconds: number;
}

async function encode(clip: string, dir: string): Promise<Video> {
  const file = join(dir, 'clip.h264');
  await run('ffmpeg', ['-v', 'error', '-i', clip, ...H264, ...KEY_FRAMES, file]);
  const probe = ['-v', 'error', '-show_entries', 'format=duration', '-of', 'csv=p=0', clip];
  return { bytes: statSync(file).size, seconds: Number(await run('ffprobe', probe)) };
}

async function run(program: string, args: readonly string[]): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(program, args);
    return stdout;
  } catch (error) {
    const { code, stderr } = error as { code?: unknown; stderr?: string };
    const reason =
      code === 'ENOENT' ? 'it is not installed; scripts/setup --for test does it' : stderr?.trim();
    throw new AgentError('unavailable', `${program}: ${reason?.split('\n').at(-1)}`, error);
  }
}

/** Runs the agent for `seconds` against a broker of its own; returns the messages that the room received. */
async function watch(
  clip: string,
  dir: string,
  seconds: number,
  say: (line: string) => void,
): Promise<IPublishPacket[]> {
  const { authorities, broker } = await roomBroker(dir, [{ site: SITE, box: BOX }]);
  const { ca } = authorities.boxes;
  await broker.start();
  process.once('exit', () => broker.kill());
  const undo: (() => Promise<unknown>)[] = [() => broker.stop()];
  try {
    const room = await authorities.programs.client(ARCHIVE);
    const client = await connectAsync(broker.archiveUrl, {
      protocolVersion: 5,
      ca: readFileSync(ca),
      cert: readFileSync(room.cert),
      key: readFileSync(room.key),
    });
    undo.push(() => client.endAsync(true));
    const packets: IPublishPacket[] = [];
    client.on('message', (_topic, _payload, packet) => packets.push(packet));
    await client.subscribeAsync('vigie/#', { qos: 1, rap: true });
    const config = await demoConfig(clip, broker.url, authorities.boxes);
    const agent = new Agent({
      config,
      stateDir: join(dir, 'state'),
      clock: systemClock,
      log: makeLogger('agent', 'error'),
      configFile: undefined,
      configSha256: undefined,
      configRefused: undefined,
      rootRecord: undefined,
      visionSocket: undefined,
      pageSocket: undefined,
      logsSocket: undefined,
      checks: undefined,
      configCopy: undefined,
      updateDir: undefined,
      orderedFile: undefined,
      modelDir: modelsDir(),
      masksOnDisk: () => config.masks,
      onUnusable: (error) => say(error.message),
    });
    undo.push(() => agent.stop());
    await agent.start();
    for (let remainingS = Math.ceil(seconds); remainingS > 0; remainingS -= 1) {
      if (process.stderr.isTTY)
        say(`the agent runs: ${remainingS} s left, ${packets.length} messages received`);
      await sleep(1000);
    }
    return packets;
  } finally {
    for (const step of undo.reverse()) await step();
  }
}

async function demoConfig(clip: string, url: string, authority: CertificateAuthority): Promise<Config> {
  const env = {
    VIGIE_CAMERA_SOURCE: `file:${clip}`,
    VIGIE_MQTT_URL: url,
    VIGIE_MQTT_CA: authority.ca,
    ...(await certificateOf(authority)),
  };
  const text = readFileSync(join(packageRoot(), 'scripts/workshop/demo/config.yaml'), 'utf8');
  const { config, problems } = inspectText(text, { env, mode: 'run' });
  if (config === undefined) throw new AgentError('bug', problems.map(({ message }) => message).join('; '));
  return config;
}

async function certificateOf(authority: CertificateAuthority): Promise<Record<string, string>> {
  const { cert, key } = await authority.client(BOX);
  return { VIGIE_MQTT_CERT: cert, VIGIE_MQTT_KEY: key };
}

function metricsOf(packets: readonly IPublishPacket[], { bytes, seconds }: Video): BytesMetrics {
  const parts = Object.fromEntries(PARTS.map((part) => [part, partMetrics(part, packets)])) as Record<
    Part,
    PartMetrics
  >;
  const incidents = packets.filter(isStart).length;
  if (incidents === 0 || parts.health.messages === 0) {
    throw new AgentError(
      'unavailable',
      '--clip: the agent published no incident or no health message; use a clip of a street',
    );
  }
  const hours = [(incidents * 3600) / seconds, QUIET_INCIDENTS_PER_HOUR].map((rate) =>
    hourOf(rate, incidents, parts),
  );
  const h264 = { bytesPerHour: Math.round((bytes * 3600) / seconds), mbitPerS: (bytes * 8) / seconds / 1e6 };
  return { seconds, parts, hours, h264 };
}

function isStart({ topic, payload }: IPublishPacket): boolean {
  if (partOf(topic) !== 'event') return false;
  return (JSON.parse(String(payload)) as VigieEvent).data.phase === 'start';
}

function hourOf(rate: number, incidents: number, { event, snapshot, health }: BytesMetrics['parts']): Hour {
  const times = rate / incidents;
  const healthTimes = HEALTH_PER_HOUR / health.messages;
  const sum = (pick: (metrics: PartMetrics) => number): number =>
    Math.round((pick(event) + pick(snapshot)) * times + pick(health) * healthTimes);
  return {
    incidents: rate,
    messages: sum(({ messages }) => messages),
    bytes: sum(({ bytes }) => bytes),
    wireBytes: sum(({ wireBytes }) => wireBytes),
    snapshotWireBytes: Math.round(snapshot.wireBytes * times),
  };
}

function partMetrics(part: Part, packets: readonly IPublishPacket[]): PartMetrics {
  const own = packets.filter(({ topic }) => partOf(topic) === part).map(packetBytes);
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  return { messages: own.length, bytes: sum(own), wireBytes: sum(own.map(wireBytes)) };
}

function partOf(topic: string): Part {
  const branch = topic.split('/')[3];
  if (branch === 'evt') return 'event';
  if (branch === 'snap') return 'snapshot';
  return branch === 'health' ? 'health' : 'status';
}

/** `length` is MQTT's remaining length. Before it are one byte and the length itself in groups of 7 bits. */
function packetBytes({ length = 0 }: IPublishPacket): number {
  return 1 + Math.max(1, Math.ceil(Math.log2(length + 1) / 7)) + length;
}

function wireBytes(bytes: number): number {
  const inTls = bytes + TLS_RECORD_BYTES * Math.ceil(bytes / 16_384);
  return inTls + SEGMENT_HEADERS_BYTES * Math.ceil(inTls / SEGMENT_BYTES);
}

export function bytesTable({ parts, hours, h264, seconds }: BytesMetrics): string {
  const number = (value: number): string => Math.round(value).toLocaleString('en');
  const partRows = PARTS.map((part) => {
    const { messages, bytes, wireBytes } = parts[part];
    const mean = (sum: number): string => (messages === 0 ? '–' : number(sum / messages));
    return `| ${part} | ${messages} | ${mean(bytes)} | ${mean(wireBytes)} |`;
  });
  const hourRows = hours.map(
    ({ incidents, bytes, wireBytes }) =>
      `| ${number(incidents)} | ${number(bytes)} | ${number(wireBytes)} | 1 : ${number(h264.bytesPerHour / bytes)} |`,
  );
  return [
    `Of a clip of ${seconds.toFixed(1)} s:`,
    '| message | count | MQTT packet, bytes | with TLS, TCP, IP, bytes |',
    '| --- | --- | --- | --- |',
    ...partRows,
    '',
    `The same clip as H.264: ${number(h264.bytesPerHour)} bytes an hour (${h264.mbitPerS.toFixed(2)} Mbit/s).`,
    '| incidents an hour | published, bytes an hour | with TLS, TCP, IP | published : H.264 |',
    '| --- | --- | --- | --- |',
    ...hourRows,
    '',
    `A room, ${QUIET_INCIDENTS_PER_HOUR} incidents an hour and box:`,
    '| boxes = connections | messages a second | Mbit/s | GB a day | of which snapshots | retained messages |',
    '| --- | --- | --- | --- | --- | --- |',
    ...[1500, 100_000].map((boxes) => roomRow(boxes, hours.at(-1) as Hour, number)),
  ].join('\n');
}

/** Status and health are retained. */
function roomRow(boxes: number, hour: Hour, number: (value: number) => string): string {
  const perDay = (bytes: number): string => number((bytes * boxes * 24) / 1e9);
  const cells = [
    number(boxes),
    number((boxes * hour.messages) / 3600),
    ((boxes * hour.wireBytes * 8) / 3600 / 1e6).toFixed(1),
    perDay(hour.wireBytes),
    perDay(hour.snapshotWireBytes),
    number(boxes * 2),
  ];
  return `| ${cells.join(' | ')} |`;
}
