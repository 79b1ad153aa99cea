/** Tests that an authorisation pins the stream which a key of the camera's address selects, and that no key leaves. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import t from 'tap';
import { authorisationLines } from '../../agent/cli/authorisation-lines.ts';
import type { Authorisation } from '../../agent/contract/authorisation.ts';
import { configuredStream, maskedSource } from '../../agent/contract/camera-address.ts';
import type { Running } from '../../agent/contract/journal.ts';
import { authorisedAddress, mayNameCamera, namesStream } from '../../agent/orders/camera-pin.ts';
import { authorisationRefusal, openAuthorisation } from '../../agent/orders/signed-authorisation.ts';
import { WatchedFile, watchedHash } from '../../agent/restraint/journal/watched.ts';
import { type AgentViewSources, agentView } from '../../agent/technician/agent-view.ts';
import { configOf } from '../lib/agent.ts';
import { AUTHORITY, authorisationFor, signedAuthorisation } from '../lib/authority.ts';
import { scratch } from '../lib/paths.ts';
import { verdictOf } from '../lib/refusals.ts';
import { BOX, SITE } from '../lib/room.ts';
import { GRANT, type MovingObject, movingObject, TrackedBox } from '../lib/tracked-box.ts';

const OWN = 'rtsp://u:p@10.0.0.9/onvif?token=channel1-s3cret&ch=1';
const config = configOf({ site: SITE, box: BOX, camera: { source: OWN, fps: 5 } }, 'replay');
const RULES = [{ kind: 'loitering', zones: 'all' as const, purpose: 'none', legalBasis: 'none' }];
/** Made once, since each digest costs a quarter of a second. */
const CAMERA = authorisedAddress(OWN);
const bareConfig = configOf({ site: SITE, box: BOX }, 'replay');
const authorisation = (change: Partial<Authorisation> = {}): Authorisation =>
  authorisationFor(bareConfig, { camera: CAMERA, rules: RULES, ...change });

const passer = (id: number): MovingObject => movingObject(id, [0.2, 0.5], [0.8, 0.5], [0, 4]);

void t.test(
  'an order pins the stream that a key of the address selects, and never holds the key',
  async (t) => {
    const verdictFor = (change: Partial<Authorisation>, source: string): string =>
      verdictOf(() => {
        const content = openAuthorisation(signedAuthorisation(authorisation(change)), AUTHORITY.publicKey);
        const refusal = authorisationRefusal(
          content,
          { site: SITE, box: BOX, camera: configuredStream(source) },
          Date.now(),
        );
        t.notMatch(refusal?.message ?? '', /s3cret|scrypt-/, 'a refusal shows neither key nor digest');
        if (refusal !== undefined) throw refusal;
      });
    const camera = CAMERA;
    t.match(camera, /^rtsp:\/\/10\.0\.0\.9\/onvif\?token=scrypt-[0-9a-f]{32}-[0-9a-f]{64}&ch=1$/);
    t.not(camera, authorisedAddress(OWN), 'each authorisation has a salt of its own');
    t.equal(verdictFor({ camera }, OWN), 'accepted');
    t.equal(
      verdictFor({ camera }, OWN.replace('u:p', 'other:login')),
      'accepted',
      'a login is not the stream',
    );
    for (const other of ['channel2', '', 'channel1-s3cret='])
      t.equal(verdictFor({ camera }, OWN.replace('channel1-s3cret', other)), 'wrong-box', other);
    const digest = /scrypt-[^&]*/.exec(camera)?.[0] ?? '';
    t.equal(
      verdictFor({ camera }, OWN.replace('channel1-s3cret', digest)),
      'wrong-box',
      'the digest as a key',
    );
    const bare = 'rtsp://10.0.0.9/onvif';
    for (const key of ['token', 'access_token', 'auth', 'secret', 'sessionid', 'passphrase', 'passage'])
      for (const source of [`${bare}?${key}=channel2`, `${bare}/${key}=channel2`])
        t.equal(verdictFor({ camera: bare }, source), 'wrong-box', source);
    t.equal(verdictFor({ camera }, bare), 'wrong-box');
    t.equal(verdictFor({ camera: bare, substream: camera }, OWN), 'accepted', 'as the second stream');
    const hidden = maskedSource(OWN);
    t.equal(verdictFor({ camera }, hidden), 'wrong-box', 'a hidden key is none on the box');
    t.ok(mayNameCamera({ camera }, configuredStream(hidden)), 'and is not compared in a copy');
    t.notOk(mayNameCamera({ camera: bare }, configuredStream(hidden)));
    t.notOk(mayNameCamera({ camera }, configuredStream(OWN.replace('channel1', 'channel2'))));
    t.equal(
      verdictFor({ camera: bare, substream: camera }, OWN.replace('channel1', 'channel2')),
      'wrong-box',
    );
    for (const wrong of [
      `${bare}?token=channel1`,
      `${bare}?token=${digest}&auth=x`,
      `${bare}?token=${digest}0`,
    ])
      t.equal(verdictFor({ camera: wrong }, bare), 'malformed', 'an order never holds the key itself');
  },
);

void t.test(
  'a key of the address is in no record, no log of tracks, no screen and no report of the box',
  async (t) => {
    const dir = scratch(t);
    const key = Buffer.from('secret of this box');
    const running = { watched: watchedHash({ config, key }), config: 'a', zones: 'b' } as Running;
    new WatchedFile(dir).take({ config, key }, running, undefined, 'box');
    const box = new TrackedBox(dir, { grant: GRANT, source: OWN }).start();
    box.live(5, [passer(1)]);
    box.restart().live(5, [passer(2)]);
    const views = (): string[] => {
      const database = new Database(box.file, { readonly: true });
      const rows = database.prepare('SELECT camera FROM view').all() as { camera: string }[];
      database.close();
      return rows.map(({ camera }) => camera);
    };
    box.log.stop();
    t.equal(views().length, 1, 'the same stream is the same view after a restart');
    t.ok(namesStream(views()[0] ?? '', configuredStream(OWN)));
    const other = new TrackedBox(dir, {
      grant: GRANT,
      source: OWN.replace('channel1', 'channel2'),
      clock: box.clock,
    });
    other.start().live(5, [passer(3)]);
    other.log.stop();
    t.equal(views().length, 2, 'another key is another view');

    const files = readdirSync(dir).map((name) => readFileSync(join(dir, name), 'latin1'));
    const ruled = { mode: 'active', authorisation: authorisation() };
    const state = { ...config, ruled, findings: [] } as unknown as AgentViewSources;
    const texts = [...files, ...authorisationLines(authorisation()), JSON.stringify(agentView(state))];
    t.ok(
      files.some((text) => text.includes('onvif?token=scrypt-')),
      'the search finds what is there',
    );
    for (const text of texts) t.notMatch(text, /s3cret/);
    for (const text of texts.slice(files.length))
      t.notMatch(text, /scrypt-/, 'a screen shows no digest either');
  },
);
