/**
 * Tests the camera's second stream under a real agent. It is opened only where the authorisation names it, its frames
 * are counted, and a suspension ends both connections and both counters.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { getLocal } from '../../agent/base/local-http.ts';
import type { HealthReport } from '../../agent/contract/health.ts';
import { LOCAL_SOCKET, type LocalStatus, STATUS_PATH } from '../../agent/contract/local-status.ts';
import { FilmCamera } from '../../scripts/workshop/bench/film-camera.ts';
import { configOf } from '../lib/agent.ts';
import { authorised } from '../lib/authority.ts';
import { encodedClip } from '../lib/encoded-clip.ts';
import { ROOT, scratch } from '../lib/paths.ts';
import { visionsOf } from '../lib/proc.ts';
import { start } from '../lib/program.ts';
import { BOX, makeRoom, SITE, waitUntil } from '../lib/room.ts';
import { rtspMissing } from '../lib/rtsp-server.ts';

const SLOW_MS = 60_000;
const MAIN = join(ROOT, 'dist/agent/cli/main.js');
const skip = rtspMissing();
t.setTimeout(240_000);

/** Makes two films of a still street; the second has more frames, which shows whether they are counted. */
function makeFilms(): [string, string] {
  const film = (size: string, fps: number): string => {
    const picture = `smptebars=size=${size}:rate=${fps}:duration=120,noise=alls=4:allf=t,format=yuv420p`;
    const coded = ['-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-g', String(fps)];
    return encodedClip(['-f', 'lavfi', '-i', picture, ...coded]);
  };
  return [film('640x360', 5), film('320x180', 25)];
}

/** Open TCP connections to a port of this machine (proc(5), net/tcp: state 01 is ESTABLISHED). */
function connectionsTo(port: number): number {
  const place = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const lines = readFileSync('/proc/net/tcp', 'utf8').split('\n');
  return lines.filter((line) => line.trim().split(/\s+/)[2] === place && / 01 /.test(line)).length;
}

async function box(t: Test, camera: FilmCamera, substream: string | undefined) {
  const dir = scratch(t);
  const stateDir = join(dir, 'state');
  const file = join(dir, 'vigie.json');
  const source = { source: camera.url, substream: camera.substreamUrl, fps: 5 };
  const room = await makeRoom(t);
  const config = configOf({ site: SITE, box: BOX, camera: source, mqtt: { ...room.config, ack: 'broker' } });
  const authorisationFields = substream === undefined ? {} : { substream };
  writeFileSync(file, JSON.stringify(authorised(config, join(dir, 'order'), authorisationFields)));
  const agent = start(t, process.execPath, [MAIN, 'run', '--config', file, '--state', stateDir]);
  const report = async (): Promise<HealthReport> => {
    const status = await getLocal(join(stateDir, LOCAL_SOCKET), STATUS_PATH);
    return (JSON.parse(status) as LocalStatus).report;
  };
  return { agent, stateDir, report };
}

void t.test(
  'a second stream named by the order is watched, and a suspension ends it',
  { skip },
  async (t) => {
    const camera = await FilmCamera.start(...makeFilms());
    t.teardown(() => camera.stop());
    const port = Number(new URL(camera.url.replace('rtsp:', 'http:')).port);
    const { agent, stateDir, report } = await box(t, camera, camera.substreamUrl);
    const hasBothStreams = async (): Promise<boolean> => {
      const { quiet } = await report().catch(() => ({ quiet: undefined }));
      return quiet?.reason === '0 of 20 beginnings of motion are compared';
    };
    const beganMs = Date.now();
    while (!(await hasBothStreams()) && Date.now() - beganMs < SLOW_MS)
      await new Promise((resolve) => setTimeout(resolve, 500));
    t.ok(await hasBothStreams(), 'both streams give pictures of one shape, and nothing has moved yet');
    t.equal(connectionsTo(port), 2, 'two connections to the camera');
    const [from, fromMs] = [(await report()).frames, Date.now()];
    await new Promise((resolve) => setTimeout(resolve, 6000));
    const [to, lastedS] = [(await report()).frames, (Date.now() - fromMs) / 1000];
    const perS = (to.read - from.read) / lastedS;
    // Counters are up to three seconds old at either end.
    t.ok(perS > 12 && perS < 60, `${perS} frames a second are decoded: 5 and 25`);
    t.equal(to.watched, 0, 'all of them');

    const suspend = start(t, process.execPath, [MAIN, 'suspend', '--reason', 'order', '--state', stateDir]);
    await suspend.exit;
    t.match(suspend, { code: 0 });
    t.same(visionsOf(agent.child.pid as number), []);
    await waitUntil(t, 'no connection is open', () => connectionsTo(port) === 0, SLOW_MS);
    // A page of the local status is up to a second old.
    while ((await report()).mode !== 'suspended') await new Promise((resolve) => setTimeout(resolve, 200));
    const { frames } = await report();
    await new Promise((resolve) => setTimeout(resolve, 4000));
    t.same((await report()).frames, frames, 'the counters do not change');
  },
);
