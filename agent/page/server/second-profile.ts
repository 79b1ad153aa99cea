/**
 * Selects the media profile of a camera's second stream from the ONVIF profiles. It is the smallest picture of the same
 * video source that the box can decode at a sufficient rate.
 */
import { type Static, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';

/** The library turns a token of digits into a number. */
const Token = Type.Union([Type.String(), Type.Number()]);

/** Used part of a profile in the form of the ONVIF library. */
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

/** Frames per second. At fewer, an object that crosses the picture in .8 s may pass between two frames. */
const FPS_MIN = 5;

/**
 * Returns the token of the second profile; undefined if the camera has none. `mainToken`: token of the profile in use.
 */
export function secondProfile(profiles: unknown, mainToken: unknown): string | undefined {
  const validProfiles = (Array.isArray(profiles) ? profiles : []).filter((profile) =>
    Value.Check(Profile, profile),
  );
  const main = validProfiles.find(({ $ }) => $.token === mainToken);
  if (main === undefined) return undefined;
  const [smallest] = validProfiles
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

/** True if the camera does not state a limit. */
function isOftenEnough({ videoEncoderConfiguration: { rateControl } }: Profile): boolean {
  const limit = rateControl?.frameRateLimit;
  return typeof limit !== 'number' || limit <= 0 || limit >= FPS_MIN;
}

function pixelsOf({ videoEncoderConfiguration: { resolution } }: Profile): number {
  return resolution.width * resolution.height;
}
