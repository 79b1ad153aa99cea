/** Tests the choice of a second stream's profile: the smallest of the same picture with a sufficient frame rate. */
import t from 'tap';
import { secondProfile } from '../../agent/page/server/second-profile.ts';

interface ProfileFields {
  readonly token?: unknown;
  readonly source?: string;
  readonly encoding?: string;
  readonly width?: number;
  readonly fps?: unknown;
}

const profile = ({
  token = 'sub',
  source = 'vs1',
  encoding = 'H264',
  width = 640,
  fps,
}: ProfileFields): object => ({
  $: { token },
  videoSourceConfiguration: { sourceToken: source },
  videoEncoderConfiguration: {
    encoding,
    resolution: { width, height: (width * 9) / 16 },
    ...(fps !== undefined && { rateControl: { frameRateLimit: fps } }),
  },
});
const main = profile({ token: 'main', width: 1920, fps: 25 });

void t.test('the second profile is the smallest of the same source with five frames a second', async (t) => {
  const secondOf = (...fields: ProfileFields[]): string | undefined =>
    secondProfile([main, ...fields.map(profile)], 'main');
  t.equal(secondOf({}), 'sub', 'a camera that names no frame rate is accepted');
  t.equal(secondOf({ fps: 5, encoding: 'H265' }), 'sub');
  t.equal(secondOf({ token: 7 }), '7');
  t.equal(
    secondOf({ token: 'd1', width: 704 }, { token: 'cif', width: 352 }, { token: 'hd', width: 1280 }),
    'cif',
  );
  t.equal(secondOf({ token: 'slow', width: 320, fps: 4 }, { token: 'd1', width: 704, fps: 12 }), 'd1');
  for (const other of [
    { fps: 4 },
    { encoding: 'JPEG' },
    { source: 'vs2' },
    { width: 1920 },
    { width: 2560 },
    { token: { a: 1 } },
  ])
    t.equal(secondOf(other), undefined, JSON.stringify(other));
  for (const odd of [undefined, null, 'x', [], [null, 3, {}], [profile({})]])
    t.equal(secondProfile(odd, 'main'), undefined, 'an invalid list of profiles');
});
