/** Unit tests of track answers as tables and moving features, and of links to the city's video. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { readSettings } from '../../scripts/programs/room/console/settings.ts';
import { NO_VIDEO, videoLink, videoOf } from '../../scripts/programs/room/console/video.ts';
import type { TrackAnswerParts } from '../../scripts/programs/room/questions/tracks/export.ts';
import { csvOf } from '../../scripts/programs/room/questions/tracks/export-csv.ts';
import { mfJsonOf } from '../../scripts/programs/room/questions/tracks/export-mf-json.ts';
import { scratch } from '../lib/paths.ts';
import { track } from '../lib/track-box.ts';

const [FROM, TO] = ['2026-11-24T01:00:00.000Z', '2026-11-24T04:00:00.000Z'];
const PARTS: TrackAnswerParts = {
  box: 'alpha',
  case: '17',
  question: { from: FROM, to: TO, answer: 'tracks' },
  order: 'o-1',
  grade: 'vehicles',
  matches: 3,
  more: 1,
  coverage: {
    seen: 0.9,
    watched: 0.05,
    more: 0,
    gaps: [{ from: '2026-11-24T02:00:00.000Z', to: '2026-11-24T02:10:00.000Z', why: 'suspended' }],
  },
  tracks: [
    track(7, '2026-11-24T03:00:00.000Z', { colours: [], class: 'truck', path: [] }),
    track(4, '2026-11-24T01:14:07.000Z', { stoppedS: 3, durationS: 2.5 }),
  ],
};

t.test('a table has one row for each track and gap, in order of time', async (t) => {
  t.equal(
    csvOf(PARTS),
    [
      '\ufeffrow,box,at,from,to,track,class,colour,colour2,durationS,stoppedS,seen,cut,score,firstX,firstY,lastX,lastY,why',
      'track,alpha,2026-11-24T01:14:07.000Z,2026-11-24T01:14:07.000Z,2026-11-24T01:14:27.000Z,4,car,white,grey,2.5,3,true,false,0.83,0.1,0.7,0.9,0.75,',
      'gap,alpha,2026-11-24T02:00:00.000Z,2026-11-24T02:00:00.000Z,2026-11-24T02:10:00.000Z,,,,,,,,,,,,,,suspended',
      'track,alpha,2026-11-24T03:00:00.000Z,2026-11-24T03:00:00.000Z,2026-11-24T03:00:20.000Z,7,truck,,,0,0,true,false,0.83,,,,,',
      '',
    ].join('\r\n'),
  );
});

t.test('moving features have a MovingPoint for each track, rising times and the gaps', async (t) => {
  const onePlaceTwice = track(9, '2026-11-24T01:00:00.000Z', {
    path: [
      [0, 0.1, 0.2, 0.3, 1],
      [0.0001, 0.5, 0.5, 0.3, 1],
      [1.5, 0.4, 0.2, 0.3, 0],
      [1e12, 0.9, 0.2, 0.3, 0],
    ],
  });
  const collection = JSON.parse(mfJsonOf({ ...PARTS, tracks: [...PARTS.tracks, onePlaceTwice] })) as {
    features: { id: string; temporalGeometry: object; temporalProperties: object[]; properties: object }[];
  };
  t.match(collection, {
    type: 'FeatureCollection',
    description: /not geographic/,
    gaps: PARTS.coverage.gaps,
    more: 1,
  });
  t.notOk('crs' in collection, 'no reference system names the picture');
  t.equal(collection.features.length, 2, 'a track without a path has no geometry');
  const [, feature] = collection.features;
  t.strictSame(feature?.temporalGeometry, {
    type: 'MovingPoint',
    datetimes: ['2026-11-24T01:00:00.000Z', '2026-11-24T01:00:01.500Z'],
    coordinates: [
      [0.1, 0.2],
      [0.4, 0.2],
    ],
    interpolation: 'Linear',
  });
  t.match(feature, {
    id: 'alpha/2026-11-24T01:00:00.000Z/9',
    temporalProperties: [{ boxHeight: { values: [0.3, 0.3] }, seen: { values: ['yes', 'no'] } }],
    properties: { class: 'car', colours: ['white', 'grey'], track: 9 },
  });
});

t.test('a video link encodes the camera, and covers the track in whole seconds', async (t) => {
  const video = videoOf('x', {
    link: 'rtsps://vms.example:322/{camera}/replay?from={from}&to={to}&again={camera}',
    cameras: { alpha: 'a&b=c/../?#é' },
  });
  const [from, to] = ['2026-11-30T00:15:10.000Z', '2026-11-30T00:16:09.001Z'];
  t.strictSame(videoLink(video, 'alpha', from, to), {
    url: 'rtsps://vms.example:322/a%26b%3Dc%2F..%2F%3F%23%C3%A9/replay?from=2026-11-30T00%3A15%3A00Z&to=2026-11-30T00%3A16%3A20Z&again=a%26b%3Dc%2F..%2F%3F%23%C3%A9',
    camera: 'a&b=c/../?#é',
    range: 'Range: clock=20261130T001500Z-20261130T001620Z',
  });
  t.match(videoLink(video, 'constructor', from, to), {
    camera: 'constructor',
    url: /com?|\/constructor\/replay/,
  });
  t.match(videoLink(NO_VIDEO, 'alpha', from, to), { url: null, camera: 'alpha' });
  t.match(videoLink(videoOf('x', { cameras: { alpha: 'A' } }), 'alpha', from, to), {
    url: null,
    camera: 'A',
  });
});

t.test('a wrong setting of the video is reported in one line', async (t) => {
  const file = join(scratch(t), 'console.yaml');
  const read = (video: object): string => {
    const content = { database: 'room.db', demo: { accounts: [{ name: 'o', role: 'operator' }] }, video };
    writeFileSync(file, JSON.stringify(content));
    try {
      readSettings(file);
      return '';
    } catch (error) {
      return (error as Error).message;
    }
  };
  t.equal(read({ link: 'https://vms.example/play?camera={camera}', cameras: { alpha: 'A 1' } }), '');
  t.equal(read({}), '');
  const wrong: [object, RegExp][] = [
    [
      { link: 'https://vms.example/{date}' },
      /console\.yaml: video\.link: \{date\} is not known; known: \{camera\}, \{from\}, \{to\}$/,
    ],
    [{ link: 'https://vms.example/{camera' }, /video\.link: \{camera is not known/],
    [{ link: 'https://vms.example/camera}' }, /video\.link: \} is not known/],
    [{ link: 'https://{camera}.example/x' }, /video\.link: must be https:/],
    [{ link: 'https://vms.example' }, /video\.link: must be https:/],
    [{ link: 'https://me:secret@vms.example/' }, /video\.link: must be https:.*without a password/],
    [{ link: 'javascript:alert(1)//{camera}' }, /video\.link: must be https:/],
    [
      { link: `https://vms.example/${'{camera}'.repeat(100)}`, cameras: { alpha: 'é'.repeat(90) } },
      /for the box alpha it has \d+ characters, at most 2000/,
    ],
    [{ link: 17 }, /video\.link/],
    [{ cameras: { 'The Camera': 'x' } }, /video\.cameras/],
    [{ cameras: { alpha: '' } }, /video\.cameras\.alpha/],
    [{ lnik: 'x' }, /video\.lnik is not known here; known: link, cameras/],
  ];
  for (const [video, line] of wrong) {
    const message = read(video);
    t.match(message, line);
    t.notMatch(message, /\n|secret/);
  }
});
