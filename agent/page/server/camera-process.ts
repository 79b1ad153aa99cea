/**
 * Asks the cameras of the local networks one question, in a process of its own. It reads the question from standard
 * input, prints the answer as JSON and exits. A library parses the devices' replies. It may throw outside any call and
 * reads answers of any length (onvif 0.8.3). Here that costs one answer and not the page.
 *
 * INVARIANTS: a password comes by standard input and goes only to the camera's own address. It never goes to an address
 * that the camera gives for its services. Only the answer is printed.
 * LIMITS: those of cameras.ts, which ends this process.
 */
import { writeFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { Value } from '@sinclair/typebox/value';
import onvif from 'onvif';
import { jsonOf } from '../../base/json.ts';
import { type CameraAnswer, CameraQuestion, DEVICES_MAX, URI_CHARS_MAX } from './camera-question.ts';
import { secondProfile } from './second-profile.ts';

const INPUT_BYTES_MAX = 16_384;
const NO_ONVIF = 'its answer is none of ONVIF';
const CAMERA_WITHIN_MS = 4000;
const { Cam, Discovery } = onvif;

async function main(): Promise<void> {
  // If a camera's answer has no end, this process is killed before the page.
  writeFileSync('/proc/self/oom_score_adj', '1000');
  let text = '';
  for await (const chunk of process.stdin.setEncoding('utf8')) {
    text += String(chunk);
    if (text.length > INPUT_BYTES_MAX) return;
  }
  const question = jsonOf(text);
  if (!Value.Check(CameraQuestion, question)) return;
  const answer =
    question.op === 'find' ? await find(question.interfaces, question.waitMs) : await stream(question);
  process.stdout.write(JSON.stringify(answer), () => process.exit(0));
}

async function find(interfaces: readonly string[], waitMs: number): Promise<CameraAnswer> {
  const devices: { name: string; address: string }[] = [];
  // An answer that the library cannot process costs one camera, not all of them.
  process.on('uncaughtException', () => undefined);
  Discovery.on('error', () => undefined);
  Discovery.on('device', (_: unknown, { address }: { address: string }, xml: string) => {
    const urls = /<[^<>]*XAddrs[^<>]*>([^<]*)</.exec(xml)?.[1] ?? '';
    const scopes = /<[^<>]*Scopes[^<>]*>([^<]*)</.exec(xml)?.[1] ?? '';
    const place = placeOf(urls, address);
    if (place === undefined || devices.length >= DEVICES_MAX) return;
    if (!devices.some((other) => other.address === place))
      devices.push({ name: nameOf(scopes), address: place });
  });
  const networks = Object.entries(networkInterfaces())
    .filter(([name, of]) => fits(name, interfaces) && of?.some(({ family }) => family === 'IPv4'))
    .map(([name]) => name);
  await Promise.all(
    networks.map(
      (device) =>
        new Promise<void>((resolve) => {
          Discovery.probe({ device, timeout: waitMs, resolve: false }, () => resolve());
        }),
    ),
  );
  return { cameras: devices };
}

/** An empty list means every interface except the loopback. */
function fits(name: string, interfaces: readonly string[]): boolean {
  return interfaces.length === 0 ? name !== 'lo' : interfaces.includes(name);
}

/** Returns host and port of the service whose host sent the answer, because no device may speak for another. */
function placeOf(urls: string, from: string): string | undefined {
  const hosts = urls
    .split(/\s+/)
    .filter((text) => URL.canParse(text))
    .map((text) => new URL(text))
    .filter(({ protocol, hostname }) => protocol === 'http:' && hostname === from)
    .map(({ host }) => host);
  return hosts[0];
}

/** `onvif://www.onvif.org/name/Entrance%20north` */
function nameOf(scopes: string): string {
  const [, name = ''] = /onvif:\/\/www\.onvif\.org\/name\/(\S{1,200})/.exec(scopes) ?? [];
  const [, hardware = ''] = /onvif:\/\/www\.onvif\.org\/hardware\/(\S{1,200})/.exec(scopes) ?? [];
  return [name, hardware].map(plain).find((text) => text !== '') ?? '';
}

function plain(encoded: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch (error) {
    if (error instanceof URIError) return encoded;
    throw error;
  }
}

function stream({
  host,
  port,
  user,
  password,
}: Extract<CameraQuestion, { op: 'stream' }>): Promise<CameraAnswer> {
  return new Promise((resolve) => {
    // Preliminary result, in case the library throws outside any call.
    let result: CameraAnswer = { refused: NO_ONVIF };
    process.on('uncaughtException', () => resolve(result));
    const camera = new Cam({
      hostname: host,
      port,
      // The library writes it into XML without escaping.
      username: xml(user),
      password,
      timeout: CAMERA_WITHIN_MS,
      preserveAddress: true,
      autoconnect: false,
    });
    // Warnings show up in the answer.
    camera.on('warning', () => undefined);
    camera.connect((failed) => {
      if (failed) return resolve({ refused: textOf(failed) });
      camera.getStreamUri({ protocol: 'RTSP' }, (error, answer) => {
        const uri = uriOf(answer);
        if (error || uri === undefined) return resolve({ refused: textOf(error) });
        result = { uri };
        const profileToken = secondProfile(
          Reflect.get(camera, 'profiles'),
          Reflect.get(Object(Reflect.get(camera, 'activeSource')), 'profileToken'),
        );
        if (profileToken === undefined) return resolve({ uri });
        // A camera that fails here has one stream, which is not an error.
        camera.getStreamUri({ protocol: 'RTSP', profileToken }, (failure, second) => {
          const secondUri = failure ? undefined : uriOf(second);
          resolve({ uri, ...(secondUri !== undefined && secondUri !== uri && { secondUri }) });
        });
      });
    });
  });
}

function uriOf(answer: unknown): string | undefined {
  const uri: unknown = Reflect.get(Object(answer), 'uri');
  return typeof uri === 'string' && uri.length <= URI_CHARS_MAX ? uri : undefined;
}

function xml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

function textOf(error: unknown): string {
  // The library failed on a missing field.
  if (error instanceof TypeError) return NO_ONVIF;
  return error instanceof Error ? error.message.slice(0, 300) : 'it names no stream';
}

await main();
