/**
 * Tests the parser of `camera.source`: its results, its refusals, and that two different sources never share an
 * address.
 */
import fc from 'fast-check';
import t from 'tap';
import {
  authorisedForm,
  cameraAddress,
  isSameDevice,
  isSameStream,
  maskedSource,
  parseAuthorisedStream,
  parseCameraSource,
  secondStreamProblem,
  withLoginOf,
} from '../../agent/contract/camera-address.ts';
import { camerasDrawn } from '../lib/camera-sources.ts';
import { anyCharacter } from '../lib/characters.ts';
import { SEED } from '../lib/random.ts';

const problemOf = (text: string): string => {
  const parsed = parseCameraSource(text);
  return 'fault' in parsed ? parsed.fault : '';
};

const DIGEST = `scrypt-${'a'.repeat(32)}-${'b'.repeat(64)}`;

void t.test('addresses hold everything except the login and the values of keys', async (t) => {
  const cases: [string, string][] = [
    ['rtsp://admin:p%40ss%2Fw0rd@10.0.0.2:554/main', 'rtsp://10.0.0.2/main'],
    ['rtsp://10.0.0.2', 'rtsp://10.0.0.2/'],
    ['rtsp://CAM.Example:8554/Main', 'rtsp://cam.example:8554/Main'],
    ['rtsp://[FD00:0::20]:554/x', 'rtsp://[fd00::20]/x'],
    [
      'rtsp://10.0.0.2/cam/realmonitor?channel=1&subtype=0',
      'rtsp://10.0.0.2/cam/realmonitor?channel=1&subtype=0',
    ],
    ['rtsp://10.0.0.2/ch?token=x&channel=1', 'rtsp://10.0.0.2/ch?token=***&channel=1'],
    ['rtsp://10.0.0.2/ch?passage=2&userdata=3&users=4', 'rtsp://10.0.0.2/ch?passage=2&userdata=3&users=4'],
    [
      'rtsp://10.0.0.2/auth=x/secret=y?access_token=z=',
      'rtsp://10.0.0.2/auth=***/secret=***?access_token=***',
    ],
    ['rtsp://10.0.0.2/ch?channel=1&password=x', 'rtsp://10.0.0.2/ch?channel=1'],
    ['rtsp://10.0.0.2/ch?password=x', 'rtsp://10.0.0.2/ch'],
    [
      'rtsp://10.0.0.2/user=admin&password=&channel=1&stream=0.sdp?real_stream',
      'rtsp://10.0.0.2/channel=1&stream=0.sdp?real_stream',
    ],
    [
      'rtsp://10.0.0.2/user=admin_password=tl_J3_channel=2_stream=0.sdp',
      'rtsp://10.0.0.2/channel=2_stream=0.sdp',
    ],
    ['rtsp://10.0.0.2/user=admin_password=x', 'rtsp://10.0.0.2/'],
    ['rtsp://10.0.0.2/a/user=admin_password=x/b', 'rtsp://10.0.0.2/a//b'],
    ['rtsp://10.0.0.2/h%c3%a9?x=%c3%a9', 'rtsp://10.0.0.2/h%C3%A9?x=%C3%A9'],
    ['v4l2:/dev/video0', 'v4l2:/dev/video0'],
    ['file:/clips/a@b?.mp4', 'file:/clips/a@b?.mp4'],
    ['file:///clips/a%20b.mp4', 'file:/clips/a b.mp4'],
    ['libcamera:', 'libcamera:'],
    ['test:pattern', 'test:pattern'],
  ];
  for (const [source, address] of cases) t.equal(cameraAddress(source), address, source);
  t.equal(cameraAddress(undefined), '');
});

/** Sources that are refused, and what is said of them. */
const WRONG: readonly (readonly [source: string, right: RegExp])[] = (
  [
    [/one @ at most, before the host, and a \/ before any \?/, 'rtsp://10.0.0.7:8554?@10.0.0.9/main'],
    [/before the host/, 'rtsp://10.0.0.7?x=/@10.0.0.9/main', 'rtsp://10.0.0.7/main?@10.0.0.9'],
    [/before the host/, 'rtsp://10.0.0.9/main@10.0.0.7'],
    [/no #.*%23 for #/, 'rtsp://10.0.0.7#@10.0.0.9/main'],
    [/no \\/, 'rtsp://10.0.0.7\\@10.0.0.9/main'],
    [/%40 for @, %2F for \//, 'rtsp://p@ss/w0rd@10.0.0.9/main'],
    [/%40 for @/, 'rtsp://admin:p@ss@10.0.0.9/main'],
    [/%23 for #/, 'rtsp://admin:p#ss@10.0.0.9/main'],
    [/%3F for \?/, 'rtsp://admin:p?ss@10.0.0.9/main'],
    [/%25 for %/, 'rtsp://admin:p%ss@10.0.0.9/main'],
    [
      /cannot be read/,
      'rtsp://admin:%ff@10.0.0.9/main',
      'rtsp://admin:%0a@10.0.0.9/main',
      'rtsp://@10.0.0.9/',
    ],
    [/own value of token/, `rtsp://10.0.0.9/cam?token=${DIGEST}`],
    [/at most 4 keys/, 'rtsp://10.0.0.9/cam?token=1&auth=2&secret=3&sid=4&key=5'],
    [/each key .* once/, 'rtsp://10.0.0.9/cam?channel=1&channel=2', 'rtsp://10.0.0.9/cam?real&real'],
    [/each key .* once/, 'rtsp://10.0.0.9/cam?channel=1&Channel=2', 'rtsp://10.0.0.9/channel=1?channel=2'],
    [/write c as such/, 'rtsp://10.0.0.9/cam?%63hannel=2'],
    [/write 2 as such/, 'rtsp://10.0.0.9/cam?channel=%32'],
    [/names of keys .* plainly/, 'rtsp://10.0.0.9/cam?chan%20nel=2'],
    [/must not hold %2F/, 'rtsp://10.0.0.9/cam%2fmain'],
    [/must not hold %26/, 'rtsp://10.0.0.9/cam?x=1%26channel=2'],
    [/in front of the host/, 'rtsp://10.0.0.9/cam?channel=1&password=x%26channel=2'],
    [/in front of the host/, 'rtsp://10.0.0.9/cam?channel=1&password=a=b'],
    [/one \? at most/, 'rtsp://10.0.0.9/cam?a?b'],
    [/no \/\.\.\//, 'rtsp://10.0.0.9/a/../b'],
    [/write \. as such/, 'rtsp://10.0.0.9/a/%2e%2e/b'],
    [/printable ASCII/, 'rtsp://10.0.0.9/ma in', 'rtsp://10.0.0.9/ma\tin', 'rtsp://10.0.0.9/ma\nin'],
    [/printable ASCII/, 'rtsp://10.0.0.9/é'],
    [/write others as %XX/, 'rtsp://10.0.0.9/<x>'],
    [/four decimal numbers/, 'rtsp://0300.0250.1.20/x', 'rtsp://192.168.001.020/x', 'rtsp://0xC0A80114/x'],
    [/four decimal numbers/, 'rtsp://192.168.276/x', 'rtsp://3232235796/x', 'rtsp://0x7f.1/x'],
    [/not within an IPv6/, 'rtsp://[::ffff:192.168.1.20]/x', 'rtsp://[::ffff:c0a8:114]/x'],
    [/not within an IPv6/, 'rtsp://[::192.168.1.20]/x', 'rtsp://[64:ff9b::192.168.1.20]/x'],
    [/must name a host/, 'rtsp://[fe80::1%eth0]/x', 'rtsp:///x'],
    [/without a dot at its end/, 'rtsp://cam.lan./x'],
    [/without empty parts/, 'rtsp://cam..lan/x'],
    [/port from 1 to 65535/, 'rtsp://10.0.0.9:/x', 'rtsp://10.0.0.9:0554/x', 'rtsp://10.0.0.9:0/x'],
    [/port from 1 to 65535/, 'rtsp://10.0.0.9:65536/x', 'rtsp://10.0.0.9:+554/x'],
    [/rtsp:\/\/ in lower case/, 'RTSP://10.0.0.9/x'],
    [/not supported/, 'rtsps://10.0.0.9/x'],
    [/must be rtsp:\/\/host\/path, file:/, 'http://10.0.0.9/x'],
    [/must name a clip/, 'file:'],
    [/use file:\/path/, 'file://host/clip.mp4'],
    [/without \. or \.\./, 'v4l2:/dev/video0/../video1', 'v4l2:/dev//video1'],
    [/must name a device/, 'v4l2:video0'],
    [/must be/, ''],
  ] as [RegExp, ...string[]][]
).flatMap(([right, ...sources]) => sources.map((source) => [source, right] as const));

void t.test(
  'a source that two parsers could read differently is refused with the correct form',
  async (t) => {
    for (const [source, right] of WRONG) {
      t.match(problemOf(source), right, source);
      t.equal(cameraAddress(source), '', 'no order names it');
      t.notMatch(
        `${problemOf(source)} ${maskedSource(source)}`,
        /w0rd|ss@|10\.0\.0|p#ss|EVIL/,
        'no part of it is shown',
      );
    }
  },
);

void t.test('random sources are one stream only where just the login differs', async (t) => {
  fc.assert(
    fc.property(camerasDrawn(), camerasDrawn(), (one, other) => {
      const [a, b] = [parseCameraSource(one.source), parseCameraSource(other.source)];
      if ('fault' in a || 'fault' in b) return false;
      const same = JSON.stringify(one.place) === JSON.stringify(other.place);
      return isSameStream(a, b) === same && (!same || (isSameDevice(a, b) && a.address === b.address));
    }),
    { numRuns: 2000, seed: SEED },
  );
  fc.assert(
    fc.property(camerasDrawn(), ({ source, secrets }) => {
      const parsed = parseCameraSource(source);
      if ('fault' in parsed) return false;
      const form = authorisedForm(parsed, () => DIGEST);
      const reparsed = parseAuthorisedStream(form);
      const open = `${parsed.address} ${parsed.displayAddress} ${parsed.masked} ${form}`;
      return (
        !('fault' in reparsed) &&
        reparsed.address === parsed.address &&
        reparsed.pins.length === parsed.pins.length &&
        secrets.every((secret) => !open.includes(secret)) &&
        withLoginOf(parsed.masked, source) !== undefined &&
        maskedSource(withLoginOf(parsed.masked, source) ?? '') === parsed.masked
      );
    }),
    { numRuns: 2000, seed: SEED },
  );
  fc.assert(
    fc.property(
      fc.constantFrom('rtsp://', 'file:', 'v4l2:', ''),
      fc.string({ unit: anyCharacter }),
      (head, rest) => {
        const parsed = parseCameraSource(head + rest);
        return 'fault' in parsed ? parsed.fault !== '' : parseCameraSource(parsed.address) !== undefined;
      },
    ),
    { numRuns: 5000, seed: SEED },
  );
  t.pass(`9,000 sources, seed ${SEED}`);
});

void t.test('a hidden login is filled in from the same device alone', async (t) => {
  const had = 'rtsp://u:p%40@10.0.0.9/main?token=abc';
  t.equal(
    withLoginOf('rtsp://***@10.0.0.9/sub?token=***&channel=2', had),
    'rtsp://u:p%40@10.0.0.9/sub?token=abc&channel=2',
  );
  t.equal(withLoginOf('rtsp://***@10.0.0.8/main', had), undefined, 'another host');
  t.equal(withLoginOf('rtsp://***@10.0.0.9:8554/main', had), undefined, 'another port');
  t.equal(withLoginOf('rtsp://***@10.0.0.9/main', 'rtsp://10.0.0.9/main'), undefined, 'none is known');
  t.equal(withLoginOf('rtsp://10.0.0.9/main?pwd=***', had), undefined, 'none of that name');
});

void t.test('a second stream is another RTSP address of the same host and port', async (t) => {
  const streamProblem = (main: string, second: string): string | undefined => {
    const [one, other] = [parseCameraSource(main), parseCameraSource(second)];
    return 'fault' in one || 'fault' in other
      ? 'unreadable'
      : secondStreamProblem(one, other, 'camera.source');
  };
  const main = 'rtsp://u:p@10.0.0.2/main?channel=1&token=a';
  const fitting = [
    'rtsp://10.0.0.2/sub',
    'rtsp://u:p@10.0.0.2:554/sub',
    'rtsp://v:q@10.0.0.2/main?channel=2',
    'rtsp://v:q@10.0.0.2/main?channel=1&token=b',
  ];
  for (const second of fitting) t.equal(streamProblem(main, second), undefined, second);
  const same = 'rtsp://v:q@10.0.0.2/main?channel=1&token=a';
  for (const second of ['rtsp://10.0.0.3/sub', 'rtsp://10.0.0.2:8554/sub', 'v4l2:/dev/video0', same])
    t.match(
      streamProblem(main, second),
      /must be another RTSP stream of the same host and port as camera.source/,
    );
  t.match(streamProblem('v4l2:/dev/video0', 'rtsp://10.0.0.2/sub'), /needs an RTSP stream in camera.source/);
});
