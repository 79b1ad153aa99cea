/** Tests the witness: it cosigns consistent heads and raises an alarm for everything else, also over a real broker. */
import { appendFileSync, cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { AgentError } from '../../agent/base/errors.ts';
import { topicsOf } from '../../agent/contract/topics.ts';
import { isConsistent } from '../../agent/restraint/journal/consistency.ts';
import type { Journal } from '../../agent/restraint/journal/journal.ts';
import { COSIGNATURE, openCheckpoint, parseVerifierKey } from '../../agent/restraint/journal/note.ts';
import { parseProvenHead } from '../../agent/restraint/journal/proven-head.ts';
import { cosignedAtMs } from '../../scripts/lib/journal/cosignature.ts';
import { type Assessment, Witness } from '../../scripts/products/oversight/witness/witness.ts';
import { fill, keyOf, noteIn, ORIGIN, openJournal, wrongAt, wrongIn } from '../lib/journal.ts';
import { openedOutbox } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';
import { oversight } from '../lib/program.ts';
import { randomOf, SEED } from '../lib/random.ts';
import { BOX, clientOf, deliver, makeRoom, pairOf, SITE, waitUntil } from '../lib/room.ts';
import { ALL } from '../lib/run.ts';
import { WarmProgram } from '../lib/warm-program.ts';

/** The programs in threads; the witness is started as a process too. */
const warm = new WarmProgram('scripts/products/oversight');
const warmVigie = new WarmProgram('agent/cli');
const NOW_MS = Date.parse('2026-11-24T15:00:00Z');
/** Sizes of the journal between which a proof is checked. */
const SIZES = ALL ? 600 : 40;

function witnessOf(dir: string, ...keys: string[]): Witness {
  return new Witness({ dir, name: 'witness.example', keys: keys.join('\n'), wallMs: () => NOW_MS });
}

/** Exchanges messages between a box and its witness until there is nothing new. */
function converse(journal: Journal, witness: Witness): Assessment {
  for (let turn = 0; turn < 3; turn += 1) {
    const assessment = witness.assess(ORIGIN, journal.provenHead());
    if (assessment.is === 'alarm') return assessment;
    journal.takeWitnessed(assessment.note);
    if (assessment.is !== 'elsewhere') return assessment;
  }
  throw new Error('the box and its witness do not come to an end');
}

void t.test('consistency proofs verify for every size, and no altered one does', async (t) => {
  t.comment(`VIGIE_TEST_SEED=${SEED}`);
  const random = randomOf(SEED);
  const dir = scratch(t);
  const journal = openJournal(dir);
  const heads = [openCheckpoint(noteIn(dir), parseVerifierKey(keyOf(dir)))];
  let [proofs, mutated] = [0, 0];
  while (journal.size < SIZES) {
    fill(journal, journal.size + 1);
    const newer = openCheckpoint(noteIn(dir), parseVerifierKey(keyOf(dir)));
    heads.push(newer);
    const older = heads[Math.floor(random() * heads.length)] as (typeof heads)[0];
    const { proof } = parseProvenHead(journal.provenHead(older.size));
    if (!isConsistent(older, newer, proof)) t.fail(`no proof from ${older.size} to ${newer.size}`);
    proofs += 1;
    for (const [i, hash] of proof.entries()) {
      const other = proof.map((original, at) => (at === i ? Buffer.from(original) : original));
      const byte = Math.floor(random() * 32);
      (other[i] as Buffer)[byte] = (hash[byte] as number) ^ (1 << Math.floor(random() * 8));
      if (isConsistent(older, newer, other)) t.fail(`a wrong proof from ${older.size} to ${newer.size} fits`);
      mutated += 1;
    }
    if (proof.length > 0 && isConsistent(older, newer, proof.slice(1))) t.fail('a shortened proof fits');
    const forged = { ...older, root: Buffer.alloc(32, 1) };
    if (older.size > 0 && isConsistent(forged, newer, proof)) t.fail('another beginning fits');
  }
  t.equal(proofs, SIZES);
  t.ok(mutated > SIZES, `${mutated} mutated proofs, 0 accepted`);
});

void t.test('consistent heads are cosigned; an older image, a fork and another key are not', async (t) => {
  const [box, old, other, unrelated, dir] = [scratch(t), scratch(t), scratch(t), scratch(t), scratch(t)];
  const journal = openJournal(box);
  const witness = witnessOf(dir, '# boxes of the square', keyOf(box), '');
  fill(journal, 40);
  t.match(converse(journal, witness), { is: 'cosigned', size: 40, more: 40 });
  cpSync(box, old, { recursive: true });
  cpSync(box, other, { recursive: true });
  fill(journal, 300);
  t.match(converse(journal, witness), { is: 'cosigned', size: 300, more: 260 });
  t.match(converse(journal, witness), { is: 'known', size: 300 });
  const note = readFileSync(join(box, 'journal/cosigned'), 'utf8');
  const key = parseVerifierKey(witness.vkey, COSIGNATURE);
  t.equal(cosignedAtMs(note, key), NOW_MS);
  t.strictSame(wrongAt(join(box, 'journal'), keyOf(box), { witnesses: [key] }), []);

  // An SD card restored from an older image: the witness detects it, and the stored head does too.
  const image = openJournal(old);
  t.match(converse(image, witness), {
    is: 'alarm',
    message: /^rolled back: it has 40 entries, 300 entries were/,
  });
  t.notOk(image.takeWitnessed(note), 'the box itself detects that it is older than the cosigned head');
  t.match(wrongIn(old, { file: 'kept', note }), [
    /^rolled back or cut short: kept signs 300 entries, here are 40$/,
  ]);
  // It continued from there, beyond the number that the witness has.
  fill(openJournal(other), 310, 1);
  t.match(converse(openJournal(other), witness), {
    is: 'alarm',
    message: /^forked: its 310 entries do not continue/,
  });
  t.match(wrongIn(other, { file: 'kept', note }), [/^forked: the first 300 entries/]);
  // The same size with another content.
  const twin = scratch(t);
  cpSync(old, twin, { recursive: true });
  fill(openJournal(twin), 300, 2);
  t.match(converse(openJournal(twin), witness), {
    is: 'alarm',
    message: /^forked: its 300 entries differ/,
  });
  const conflicts = readdirSync(join(dir, 'boxes', ...ORIGIN.split('/'))).filter((name) =>
    name.startsWith('conflict-'),
  );
  t.equal(conflicts.length, 3, 'the conflicting head is stored, signed by the box');

  fill(openJournal(unrelated), 400);
  t.match(converse(openJournal(unrelated), witness), {
    is: 'alarm',
    message: /not signed by .* with this key/,
  });
  t.match(witness.assess('vigie/a/b', journal.provenHead()), { is: 'alarm', message: /no key of this box/ });
  t.match(witness.assess(ORIGIN, 'nonsense'), {
    is: 'alarm',
    message: /not a checkpoint with a consistency proof/,
  });
  t.match(
    converse(journal, witness),
    { is: 'known', size: 300 },
    'the box in order is not bothered by all that',
  );

  // The witness remembers across a restart; one without its memory starts again.
  t.match(converse(image, witnessOf(dir, keyOf(box))), { is: 'alarm' });
  fill(journal, 301);
  t.match(converse(journal, witnessOf(scratch(t), keyOf(box))), { is: 'cosigned', size: 301, more: 301 });
  t.throws(() => witnessOf(scratch(t), keyOf(box), keyOf(box)), /two keys/);
});

void t.test('a cosignature verifies for its witness, head and time only', async (t) => {
  const box = scratch(t);
  const journal = openJournal(box);
  fill(journal, 5);
  const witness = witnessOf(scratch(t), keyOf(box));
  converse(journal, witness);
  const note = readFileSync(join(box, 'journal/cosigned'), 'utf8');
  const key = parseVerifierKey(witness.vkey, COSIGNATURE);
  const [, base64 = ''] = /^— witness\.example (\S+)$/m.exec(note) ?? [];
  const bytes = Buffer.from(base64, 'base64');
  let accepted = 0;
  for (let bit = 32; bit < bytes.length * 8; bit += 1) {
    const other = Buffer.from(bytes);
    other[bit >> 3] = (other[bit >> 3] as number) ^ (1 << (bit & 7));
    try {
      cosignedAtMs(note.replace(base64, other.toString('base64')), key);
      accepted += 1;
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
    }
  }
  t.equal(accepted, 0, `of ${(bytes.length - 4) * 8} flipped bits`);
  const unseen = parseVerifierKey(witnessOf(scratch(t)).vkey, COSIGNATURE);
  t.match(wrongAt(join(box, 'journal'), keyOf(box), { witnesses: [unseen] }), [
    /has cosigned none of the heads/,
  ]);
});

void t.test('the witness reads a journal or its export without a broker', async (t) => {
  const [box, dir] = [scratch(t), scratch(t)];
  fill(openJournal(box), 20);
  const keys = join(dir, 'boxes.vkey');
  writeFileSync(keys, `${keyOf(box)}\n`);
  const old = join(dir, 'old');
  cpSync(join(box, 'journal'), old, { recursive: true });
  const witnessed = async (place: string) => {
    const args = ['--dir', join(dir, 'kept'), '--keys', keys, '--name', 'court.example', place];
    return warm.run(['witness', ...args]);
  };
  t.match(await witnessed(join(box, 'journal')), {
    code: 0,
    out: /key of this witness: court\.example\+.*cosigned 20 entries/s,
  });
  fill(openJournal(box), 300);
  const file = join(dir, 'export.jsonl');
  t.equal((await warmVigie.run(['journal', 'export', join(box, 'journal'), '--out', file])).code, 0);
  t.match(await witnessed(file), { code: 0, out: /cosigned 300 entries, 280 more than before/ });
  t.match(await witnessed(old), {
    code: 1,
    err: /^ALARM \S+ vigie\/marseille-1\/canebiere-017: rolled back/,
  });
  appendFileSync(file, '{}\n');
  t.match(await witnessed(file), { code: 1, err: /^ALARM .* more lines than the 300 entries/ });
  t.match(await witnessed(join(dir, 'nowhere')), { code: 2, err: /nowhere cannot be read/ });
});

void t.test('over a broker heads are cosigned as they arrive, and the box stores the result', async (t) => {
  const room = await makeRoom(t);
  const [box, dir] = [scratch(t), scratch(t)];
  const journal = openJournal(box);
  fill(journal, 3);
  const outbox = openedOutbox(t, join(box, 'outbox.db'));
  const topic = topicsOf(SITE, BOX).journalWitnessed;
  const outcomes: boolean[] = [];
  const publish = (): void => delivery.publisher.journalHead(journal.head ?? '', journal.provenHead());
  const take = (payload: Buffer): void => {
    outcomes.push(journal.takeWitnessed(payload.toString()));
    if (journal.witnessedSize < journal.size) publish();
  };
  const inbox = new Map([[topic, take]]);
  const { delivery } = deliver(t, room.config, outbox, {}, inbox);
  publish();
  writeFileSync(join(dir, 'boxes.vkey'), keyOf(box));
  const { cert, key } = await pairOf(room, 'witness.room');
  const tls = ['--site', SITE, '--ca', room.authority.ca, '--cert', cert, '--cert-key', key];
  const stateArgs = ['--dir', join(dir, 'kept'), '--keys', join(dir, 'boxes.vkey')];
  stateArgs.push('--name', 'witness.example');
  const program = oversight(t, 'witness', '--room', room.broker.programsUrl, ...tls, ...stateArgs);
  await waitUntil(t, 'the first head is cosigned', () => journal.witnessedSize === 3);
  fill(journal, 30);
  publish();
  await waitUntil(t, 'the next one too', () => journal.witnessedSize === 30);
  t.ok(outcomes.every(Boolean));
  t.equal(program.err, '');

  // Someone replaces it by an older head that the box has signed.
  const image = scratch(t);
  cpSync(box, image, { recursive: true });
  fill(journal, 31);
  publish();
  await waitUntil(t, 'and one more', () => journal.witnessedSize === 31);
  const thief = await clientOf(t, room, BOX);
  await thief.publishAsync(topicsOf(SITE, BOX).journalProvenHead, openJournal(image).provenHead(), {
    qos: 1,
    retain: true,
  });
  await waitUntil(t, 'the alarm', () => program.err.includes('ALARM'));
  t.match(
    program.err,
    /ALARM \S+ vigie\/marseille-1\/canebiere-017: rolled back: it has 30 entries, 31 entries were/,
  );
  const neighbour = await clientOf(t, room, 'canebiere-018');
  await t.rejects(neighbour.publishAsync(topic, 'forged', { qos: 1 }), 'no other box may write there');
  program.child.kill('SIGTERM');
  t.equal(await program.exit, 1, 'there was an alarm');
  t.equal(journal.witnessedSize, 31);
  const vkey = /key of this witness: (\S+)/.exec(program.out)?.[1] ?? '';
  const args = ['--key', keyOf(box), '--witness', vkey, '--json'];
  const verified = await warm.run(['verify', join(box, 'journal'), ...args]);
  t.equal(verified.code, 0, verified.err);
  t.match(JSON.parse(verified.out), { inOrder: true, witnesses: [{ name: 'witness.example', size: 31 }] });
});
