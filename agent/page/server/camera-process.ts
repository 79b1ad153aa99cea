/**
 * One question to the cameras of the local networks, in a process of its own: it reads the question from standard input,
 * prints the answer as JSON and ends. What a device says is parsed by a library that may throw outside of any call and
 * reads answers of any length (onvif 0.8.3): here that costs one answer, and not the page.
 *
 * INVARIANTS: a password comes by standard input and goes to the camera's own address alone: not where the camera says
 * that its services are. Nothing is printed but the answer.
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
  // Before the page itself, where a camera's answer has no end.
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
  const found: { name: string; address: string }[] = [];
  // An answer that the library cannot bear is one camera less, and not all of them.
  process.on('uncaughtException', () => undefined);
  Discovery.on('error', () => undefined);
  Discovery.on('device', (_: unknown, { address }: { address: string }, xml: string) => {
    const urls = /<[^<>]*XAddrs[^<>]*>([^<]*)</.exec(xml)?.[1] ?? '';
    const scopes = /<[^<>]*Scopes[^<>]*>([^<]*)</.exec(xml)?.[1] ?? '';
    const place = placeOf(urls, address);
    if (place === undefined || found.length >= DEVICES_MAX) return;
    if (!found.some((known) => known.address === place)) found.push({ name: nameOf(scopes), address: place });
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
  return { cameras: found };
}

/** Empty: all but the loopback. */
function fits(name: string, interfaces: readonly string[]): boolean {
  return interfaces.length === 0 ? name !== 'lo' : interfaces.includes(name);
}

/** Host and port of the service: the one whose host is where the answer came from, for no device speaks for another. */
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
    // What is known when the library throws outside of any call.
    let known: CameraAnswer = { refused: NO_ONVIF };
    process.on('uncaughtException', () => resolve(known));
    const camera = new Cam({
      hostname: host,
      port,
      // The library writes it into XML as it is.
      username: xml(user),
      password,
      timeout: CAMERA_WITHIN_MS,
      preserveAddress: true,
      autoconnect: false,
    });
    // What it warns of shows in the answer.
    camera.on('warning', () => undefined);
    camera.connect((failed) => {
      if (failed) return resolve({ refused: textOf(failed) });
      camera.getStreamUri({ protocol: 'RTSP' }, (error, answer) => {
        const uri = uriOf(answer);
        if (error || uri === undefined) return resolve({ refused: textOf(error) });
        known = { uri };
        const profileToken = secondProfile(
          Reflect.get(camera, 'profiles'),
          Reflect.get(Object(Reflect.get(camera, 'activeSource')), 'profileToken'),
        );
        if (profileToken === undefined) return resolve({ uri });
        // A camera that fails here has one stream, and no fault.
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
  // It stumbled over what is not there.
  if (error instanceof TypeError) return NO_ONVIF;
  return error instanceof Error ? error.message.slice(0, 300) : 'it names no stream';
}

await main();
