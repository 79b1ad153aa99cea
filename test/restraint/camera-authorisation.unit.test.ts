/** Tests the camera of an authorisation: its single form, the channel of a recorder, and the second stream. */
import t from 'tap';
import type { Authorisation } from '../../agent/contract/authorisation.ts';
import { cameraAddress } from '../../agent/contract/camera-address.ts';
import { authorisationRefusal, openAuthorisation } from '../../agent/orders/signed-authorisation.ts';
import { configOf } from '../lib/agent.ts';
import { AUTHORITY, authorisationFor, signedAuthorisation } from '../lib/authority.ts';
import { verdictOf } from '../lib/refusals.ts';
import { BOX, SITE } from '../lib/room.ts';

const START_MS = Date.parse('2026-11-24T12:00:00Z');
const CONFIG = configOf(
  {
    site: SITE,
    box: BOX,
    camera: { source: 'rtsp://10.0.0.2/main' },
    lines: [{ id: 'kerb', from: [0, 0], to: [1, 1] }],
    rules: [{ id: 'over-kerb', kind: 'line-crossing', line: 'kerb', purpose: 'counting' }],
  },
  'replay',
);
const PLACE = { site: SITE, box: BOX };
const authorisation = (change: Partial<Authorisation>): Authorisation =>
  authorisationFor(CONFIG, change, START_MS);

void t.test(
  'an order names its camera in one form, one channel of a recorder, or two streams of one camera',
  async (t) => {
    const verdictFor = (change: Partial<Authorisation>, source: string) =>
      verdictOf(() => {
        const content = openAuthorisation(signedAuthorisation(authorisation(change)), AUTHORITY.publicKey);
        const refusal = authorisationRefusal(content, { ...PLACE, camera: cameraAddress(source) }, START_MS);
        if (refusal !== undefined) throw refusal;
      });
    const channel = { camera: 'rtsp://10.0.0.9/cam/realmonitor?channel=1&subtype=0' };
    const at = (query: string): string => `rtsp://admin:p%40ss@10.0.0.9:554/cam/realmonitor${query}`;
    t.equal(verdictFor(channel, at('?channel=1&subtype=0')), 'accepted');
    for (const query of [
      '?channel=2&subtype=0',
      '?channel=1&subtype=1',
      '?channel=1',
      '',
      '?channel=1&subtype=0&x=1',
    ])
      t.equal(verdictFor(channel, at(query)), 'wrong-box', query);
    const both = { camera: 'rtsp://10.0.0.2/main', substream: 'rtsp://10.0.0.2/sub' };
    for (const path of ['main', 'sub'])
      t.equal(verdictFor(both, `rtsp://u:p@10.0.0.2/${path}`), 'accepted', path);
    t.equal(verdictFor(both, 'rtsp://10.0.0.2/other'), 'wrong-box');
    for (const substream of [
      'rtsp://10.0.0.3/sub',
      'rtsp://10.0.0.2:8554/sub',
      'rtsp://10.0.0.2/main',
      'v4l2:/dev/video0',
    ])
      t.equal(verdictFor({ ...both, substream }, 'rtsp://10.0.0.2/main'), 'malformed', substream);
    for (const camera of [
      'rtsp://10.0.0.2:554/main',
      'rtsp://admin:x@10.0.0.2/main',
      'rtsp://10.0.0.2/main?token=1',
      'rtsp://10.0.0.7?@10.0.0.2/main',
      'RTSP://10.0.0.2/main',
    ])
      t.equal(verdictFor({ camera }, 'rtsp://10.0.0.2/main'), 'malformed', camera);
    const evil = cameraAddress('rtsp://10.0.0.7:8554?@10.0.0.2/main');
    t.equal(
      verdictFor({}, 'rtsp://10.0.0.7:8554?@10.0.0.2/main'),
      'wrong-box',
      'never read as the ordered camera',
    );
    t.equal(evil, '');
  },
);
