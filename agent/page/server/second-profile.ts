/**
 * Media profile of a camera's second stream, out of the profiles that the camera names by ONVIF: the smallest picture of
 * the same video source that the box can decode often enough.
 */
import { type Static, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';

/** The library turns a token of digits into a number. */
const Token = Type.Union([Type.String(), Type.Number()]);

/** As the ONVIF library gives it, of which this much is read. */
const Profile = Type.Object({
  $: Type.Object({ token: Token }),
  videoSourceConfiguration: Type.Object({ sourceToken: Token }),
  videoEncoderConfiguration: Type.Object({
    encoding: Type.String(),
    resolution: Type.Object({ width: Type.Number(), height: Type.Number() }),
    rateControl: Type.Optional(Type.Object({ frameRateLimit: Type.Optional(Type.Unknown()) })),
  }),
});
type Profile = Static<typeof Profile>;

/** Frames per second; at fewer, what crosses the picture in .8 s may pass between two. */
const FPS_MIN = 5;

/** Token of the second profile; undefined where the camera has none. `mainToken`: that of the profile in use. */
export function secondProfile(profiles: unknown, mainToken: unknown): string | undefined {
  const known = (Array.isArray(profiles) ? profiles : []).filter((profile) => Value.Check(Profile, profile));
  const main = known.find(({ $ }) => $.token === mainToken);
  if (main === undefined) return undefined;
  const [smallest] = known
    .filter(
      (profile) => sourceOf(profile) === sourceOf(main) && isDecodable(profile) && isOftenEnough(profile),
    )
    .filter((profile) => pixelsOf(profile) < pixelsOf(main))
    .sort((a, b) => pixelsOf(a) - pixelsOf(b));
  return smallest === undefined ? undefined : String(smallest.$.token);
}

function sourceOf({ videoSourceConfiguration: { sourceToken } }: Profile): string {
  return String(sourceToken);
}

function isDecodable({ videoEncoderConfiguration: { encoding } }: Profile): boolean {
  return /^h\.?26[45]$/i.test(encoding);
}

/** True where the camera does not say. */
function isOftenEnough({ videoEncoderConfiguration: { rateControl } }: Profile): boolean {
  const limit = rateControl?.frameRateLimit;
  return typeof limit !== 'number' || limit <= 0 || limit >= FPS_MIN;
}

function pixelsOf({ videoEncoderConfiguration: { resolution } }: Profile): number {
  return resolution.width * resolution.height;
}
