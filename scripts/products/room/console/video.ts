/** Creates links to the city's own video of the time of a track, from the template in the settings. */
import { type Static, Type } from '@sinclair/typebox';
import { AgentError } from '../../../../agent/base/errors.ts';
import { strict, Text } from '../contract/schema.ts';
import type { VideoLink } from '../contract/tracks.ts';

/** Time shown before and after a track, in ms. */
const AROUND_MS = 10_000;
/** Maximum length of a link in the interface, in characters. */
const LINK_CHARS_MAX = 2000;
const PLACEHOLDERS = ['{camera}', '{from}', '{to}'] as const;
/** Placeholders are allowed only after the host, so that no camera name can lead to another machine. */
const LINK_FORM = /^(https?|rtsps?):\/\/[^/?#{}@\s]+[/?#]\S*$/;

export const VideoFile = Type.Object(
  {
    link: Type.Optional(Text(1000)),
    cameras: Type.Optional(
      Type.Record(
        Type.String({ pattern: '^[a-z0-9-]{1,32}$' }),
        Type.String({ minLength: 1, maxLength: 100 }),
        { additionalProperties: false },
      ),
    ),
  },
  strict,
);
type VideoFile = Static<typeof VideoFile>;

export interface VideoSettings {
  /** Template with placeholders; undefined if there is none. */
  readonly link: string | undefined;
  /** Camera names in the city's video system, by box. */
  readonly cameras: ReadonlyMap<string, string>;
}

export const NO_VIDEO: VideoSettings = { link: undefined, cameras: new Map() };

/**
 * Validates the video settings.
 * @throws {AgentError} `config`, with one line: setting, place and accepted form
 */
export function videoOf(file: string, settings: VideoFile | undefined): VideoSettings {
  const { link, cameras = {} } = settings ?? {};
  const result = { link, cameras: new Map(Object.entries(cameras)) };
  if (link === undefined) return result;
  const wrong = (line: string): AgentError => new AgentError('config', `${file}: video.link: ${line}`);
  const placeholders = PLACEHOLDERS.join(', ');
  const [unknown] = (link.match(/\{[^{}]*\}?|\}/g) ?? []).filter((one) => !isPlaceholder(one));
  if (unknown !== undefined) throw wrong(`${unknown.slice(0, 40)} is not known; known: ${placeholders}`);
  if (!LINK_FORM.test(link) || !URL.canParse(filled(link, 'x', 0, 0))) {
    throw wrong(
      `must be https://host/…, http://, rtsps:// or rtsp://, without a password, and ${placeholders} only behind the host`,
    );
  }
  for (const [box, camera] of [...result.cameras, ['of 32 characters', 'x'.repeat(32)] as const]) {
    const { length } = filled(link, camera, 0, 0);
    if (length > LINK_CHARS_MAX)
      throw wrong(`for the box ${box} it has ${length} characters, at most ${LINK_CHARS_MAX}; shorten it`);
  }
  return result;
}

/** Returns the link to the video of this box and span. Both times have the form of the contract. */
export function videoLink(
  { link, cameras }: VideoSettings,
  box: string,
  from: string,
  to: string,
): VideoLink {
  const camera = cameras.get(box) ?? box;
  // Whole seconds, rounded outwards.
  const fromMs = Math.floor((Date.parse(from) - AROUND_MS) / 1000) * 1000;
  const toMs = Math.ceil((Date.parse(to) + AROUND_MS) / 1000) * 1000;
  const clock = (ms: number): string => secondOf(ms).replaceAll(/[-:]/g, '');
  return {
    url: link === undefined ? null : filled(link, camera, fromMs, toMs),
    camera,
    range: `Range: clock=${clock(fromMs)}-${clock(toMs)}`,
  };
}

function filled(link: string, camera: string, fromMs: number, toMs: number): string {
  const values = { '{camera}': camera, '{from}': secondOf(fromMs), '{to}': secondOf(toMs) };
  return link.replaceAll(/\{(camera|from|to)\}/g, (name) =>
    encodeURIComponent(values[name as keyof typeof values]),
  );
}

const isPlaceholder = (text: string): boolean => (PLACEHOLDERS as readonly string[]).includes(text);

/** `2026-11-30T00:15:00Z` */
const secondOf = (ms: number): string => new Date(ms).toISOString().replace(/\.\d{3}Z$/, 'Z');
