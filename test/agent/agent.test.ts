/** Tests the whole agent with a real broker: a street clip goes in, events and redacted snapshots come out. */
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { VigieEvent } from '../../agent/contract/event.ts';
import { openCheckpoint, parseVerifierKey } from '../../agent/restraint/journal/note.ts';
import { verifyJournal } from '../../scripts/lib/journal/verification.ts';
import { makeAgent, noStreet, streetConfig } from '../lib/agent.ts';
import { calmSource } from '../lib/encoded-clip.ts';
import { keyOf } from '../lib/journal.ts';
import { MODEL_DIR, scratch } from '../lib/paths.ts';
import { BOX, makeRoom, type Room, SITE, waitUntil } from '../lib/room.ts';
import { openInbox } from '../lib/room-inbox.ts';
import { unlessAll } from '../lib/run.ts';
import { useBundledVision } from '../lib/vision.ts';

const calm = (room: Room) => streetConfig(room, { camera: { source: calmSource(), fps: 5 } });

t.test(
  'the agent publishes events, snapshots, status and health from the first frame to a clean end',
  { skip: noStreet },
  async (t) => {
    useBundledVision(t);
    const room = await makeRoom(t);
    const inbox = await openInbox(t, room);
    const stateDir = join(scratch(t), 'state');
    const agent = makeAgent(t, streetConfig(room), stateDir);
    await agent.start();
    const withStill = (): VigieEvent | undefined =>
      inbox.events('line-crossing').find(({ data }) => data.evidence.snapshot !== undefined);
    const picture = () =>
      inbox.packets.find(({ topic }) => topic === `vigie/${SITE}/${BOX}/snap/${withStill()?.id}`);
    const isReported = (): boolean => picture() !== undefined && inbox.health.length > 0;
    await waitUntil(t, 'an alert with its snapshot, and a health report', isReported, 60_000);

    const { data } = withStill() as VigieEvent;
    t.match(data, {
      phase: 'start',
      rule: { id: 'passing' },
      line: { id: 'across', purpose: 'counting' },
    });
    const payload = picture()?.payload as Buffer;
    t.equal(payload.length, data.evidence.snapshot?.bytes, 'the snapshot that the event names');
    t.same([...payload.subarray(0, 2)], [0xff, 0xd8]);

    await agent.stop();
    const status = () => inbox.json<{ state: string }>(/\/status$/).at(-1)?.state;
    await waitUntil(t, 'the status `stopped`', () => status() === 'stopped');
    const seqs = inbox.packets
      .map(({ properties }) => properties?.userProperties ?? {})
      .filter(({ lane }) => lane === 'alert')
      .map(({ seq }) => Number(seq));
    t.same(
      [...new Set(seqs)].sort((a, b) => a - b),
      seqs.map((_, i) => i + 1).slice(0, new Set(seqs).size),
      'gapless',
    );
    const verifier = parseVerifierKey(keyOf(stateDir));
    const head = inbox.packets.filter(({ topic }) => topic.endsWith('/journal/head')).at(-1);
    const knownHead = { file: 'head', note: String(head?.payload) };
    const { wrong, checkpoint } = verifyJournal(join(stateDir, 'journal'), verifier, { heads: [knownHead] });
    t.same(wrong, [], 'the journal is valid, and agrees with the head at the broker');
    t.equal(openCheckpoint(knownHead.note, verifier).size, checkpoint?.size, 'it signs the last head');
    const contents = readFileSync(join(stateDir, 'journal/contents/000.jsonl'), 'utf8');
    for (const type of ['start', 'model', 'stop']) t.match(contents, `"type":"${type}"`);
    for (const { topic, payload } of inbox.packets.filter(({ topic }) => topic.includes('/evt/alert/')))
      t.match(contents, createHash('sha256').update(payload).digest('hex'), `the hash of ${topic}`);
  },
);

/** Copies the real model to a folder of its own and flips one bit. */
function copySpoiltModels(dir: string): string {
  const models = join(dir, 'models');
  mkdirSync(models);
  for (const file of ['nanodet-g-city10.json', 'nanodet-g-city10.onnx'])
    copyFileSync(join(MODEL_DIR, file), join(models, file));
  const model = readFileSync(join(models, 'nanodet-g-city10.onnx'));
  model[model.length >> 1] = (model[model.length >> 1] as number) ^ 1;
  writeFileSync(join(models, 'nanodet-g-city10.onnx'), model);
  return models;
}

/** Gives vision a cache folder of its own. */
function setCacheDir(t: Test, dir: string): void {
  process.env['CACHE_DIRECTORY'] = dir;
  t.teardown(() => delete process.env['CACHE_DIRECTORY']);
}

t.test('a broken model raises an event and does not end the agent', { skip: unlessAll }, async (t) => {
  const room = await makeRoom(t);
  const inbox = await openInbox(t, room);
  const dir = scratch(t);
  const agent = makeAgent(t, calm(room), join(dir, 'state'), { modelDir: copySpoiltModels(dir) });
  await agent.start();
  await waitUntil(t, 'detector-down', () => inbox.events('detector-down').length > 0, 20_000);
  t.match(inbox.events('detector-down')[0]?.data.cause, { reason: /nanodet-g-city10/ });
  t.notOk(
    inbox.packets.some(({ topic }) => topic.includes('/snap/')),
    'no snapshot without a detector',
  );
});

t.test(
  'a broken model gives way to the one that ran last, and the room is informed',
  { skip: unlessAll },
  async (t) => {
    const room = await makeRoom(t);
    const inbox = await openInbox(t, room);
    const dir = scratch(t);
    setCacheDir(t, join(dir, 'cache'));
    const run = async (modelDir: string, isOver: () => boolean): Promise<void> => {
      const agent = makeAgent(t, calm(room), join(dir, 'state'), { modelDir });
      await agent.start();
      await waitUntil(t, 'frames', () => isOver() && agent.report().frames.analysed > 0, 20_000);
      await agent.stop();
    };
    const reports = () => inbox.events('detector-fallback').map(({ data }) => data);
    await run(MODEL_DIR, () => true);
    await run(copySpoiltModels(dir), () => reports().length === 1);
    t.match(reports()[0], { phase: 'start', cause: { reason: /altered.*the model that ran last/ } });
    await run(MODEL_DIR, () => reports().length === 2);
    t.match(
      reports()[1],
      { phase: 'end', episode: reports()[0]?.episode },
      'over when the installed one runs again',
    );
  },
);

t.test('a refused configuration raises an event until one is accepted', { skip: unlessAll }, async (t) => {
  const room = await makeRoom(t);
  const inbox = await openInbox(t, room);
  const state = join(scratch(t), 'state');
  const reports = () => inbox.events('config-refused').map(({ data }) => data);
  for (const [configRefused, phase] of [
    ['vigie.yaml:3:1 box: …', 'start'],
    [undefined, 'end'],
  ] as const) {
    const agent = makeAgent(t, calm(room), state, { configRefused });
    await agent.start();
    await waitUntil(t, phase, () => reports().some((data) => data.phase === phase), 20_000);
    await agent.stop();
  }
  const [start, end] = reports();
  t.match(start?.cause, { reason: 'vigie.yaml:3:1 box: …' });
  t.equal(end?.episode, start?.episode);
});

t.test('a camera that cannot work is reported at once', { skip: unlessAll }, async (t) => {
  const room = await makeRoom(t);
  const unusable: string[] = [];
  const config = streetConfig(room, { camera: { source: 'file:/nonexistent/clip.mp4', fps: 5 } });
  const agent = makeAgent(t, config, join(scratch(t), 'state'), {
    onUnusable: ({ message }) => unusable.push(message),
  });
  await agent.start();
  await waitUntil(t, 'the reason', () => unusable.length > 0);
  t.match(unusable[0], /\/nonexistent\/clip\.mp4/);
});
