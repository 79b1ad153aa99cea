/**
 * Tests one alert from the camera to the console, and its verdict back. The box on a street clip, Mosquitto, the room's
 * archive and its console are programs of their own.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import t from 'tap';
import { RECORD_FILE, RecordStore } from '../../agent/accuracy/store.ts';
import { sha256Of } from '../../agent/base/sha256.ts';
import type { IncidentDetail, Queue } from '../../scripts/products/room/contract/incident.ts';
import { authoriseFile } from '../lib/authority.ts';
import { ask, enter, from, readStream } from '../lib/console.ts';
import { DATABASES } from '../lib/databases.ts';
import { STREET_CLIP, scratch } from '../lib/paths.ts';
import { start, VIGIE } from '../lib/program.ts';
import { BOX, makeRoom, SITE, waitUntil } from '../lib/room.ts';
import { ConsoleProgram, RoomProgram } from '../lib/room-program.ts';

const skip = existsSync(STREET_CLIP) ? false : 'no street clip (scripts/setup)';

t.test('an alert travels from the camera to the console, and its verdict to the box', { skip }, async (t) => {
  const room = await makeRoom(t);
  const database = await DATABASES.sqlite(t);
  await RoomProgram.start(t, room, '--database', database.address, '--quiet');
  const dir = scratch(t);
  const config = join(dir, 'vigie.json');
  const content = {
    site: SITE,
    box: BOX,
    metrics: { port: 0 },
    camera: { source: `file:${STREET_CLIP}`, fps: 2 },
    lines: [{ id: 'across', from: [0.5, 0], to: [0.5, 1] }],
    rules: [{ id: 'passing', kind: 'line-crossing', line: 'across', purpose: 'counting' }],
    mqtt: room.config,
  };
  writeFileSync(config, JSON.stringify(content));
  authoriseFile(config, join(dir, 'order'));
  const stateDir = join(dir, 'state');
  await waitUntil(t, 'the archive has made its database', () => existsSync(database.address));
  const { url, link } = await ConsoleProgram.start(t, database.address);
  const cookie = await enter(url, 'operator', link);
  const get = (path: string) => ask(`${url}${path}`, { headers: { cookie } });
  const stream = readStream(t, url, cookie, 0);
  const agent = start(t, process.execPath, [VIGIE, 'run', '--config', config, '--state', stateDir]);
  await waitUntil(
    t,
    'the screen has a change',
    () => stream.revs.length > 0 || agent.code !== undefined,
    90_000,
  );
  t.equal(agent.code, undefined, 'the agent runs');

  const [incident] = ((await get('/api/queue')).json as Queue).incidents;
  t.match(incident, { site: SITE, box: BOX, rule: 'passing', kind: 'line-crossing', state: 'new' });
  const path = `/api/incidents/${incident?.no}`;
  const detail = async (): Promise<IncidentDetail> => (await get(path)).json as IncidentDetail;
  let still = (await detail()).stills[0];
  while (still?.isStored !== true) still = (await detail()).stills[0];
  const picture = await fetch(`${url}${path}/stills/${still.moment}`, { headers: { cookie } });
  const jpeg = Buffer.from(await picture.arrayBuffer());
  t.equal((await sharp(jpeg).metadata()).format, 'jpeg');
  const [viewed] = await database.read("SELECT account, more FROM audit WHERE act = 'see-still'");
  t.match(viewed, { account: 'operator', more: sha256Of(jpeg) }, 'the view is on record with the picture');

  const { revision } = (await detail()).incident;
  const verdict = { revision, verdict: 'confirmed' };
  const headers = { cookie, ...from(url) };
  t.match(await ask(`${url}${path}/verdict`, { method: 'POST', headers, body: verdict }), {
    status: 200,
    json: { state: 'closed', verdict: 'confirmed' },
  });
  const record = RecordStore.open(join(stateDir, RECORD_FILE));
  t.teardown(() => record.close());
  await waitUntil(t, 'the box has the verdict', () => record.statistics(['passing'])[0]?.confirmed === 1);
  t.equal(stream.revs.length, new Set(stream.revs).size, 'no change came twice');
  agent.child.kill('SIGTERM');
  t.equal(await agent.exit, 0, agent.err.slice(-500));
});
