/** A night shift of eight hours with every kind of act, done through the room's console. */
import { sha256Of } from '../../agent/base/sha256.ts';
import type { RoomHandlers } from '../../scripts/products/room/console/handlers.ts';
import { iso, type Sql } from '../../scripts/products/room/database/sql.ts';
import { callOf } from './console-room.ts';
import { addIncident, addStill, type Columns, changeIncident } from './console-rows.ts';
import { picture } from './outbox.ts';

export const NIGHT_PATROLS = ['Patrol north', 'Patrol south'].map((name) => ({
  name,
  sites: [],
  webhook: undefined,
}));

type Account = 'anna' | 'ben' | 'supervisor';

/**
 * Fills a night that begins at `fromMs`. `pass` does what the room does automatically at a time. Returns the numbers of its
 * incidents by name.
 */
export async function fillNight(
  db: Sql,
  handlers: RoomHandlers,
  fromMs: number,
  pass: (nowMs: number) => Promise<void>,
): Promise<Readonly<Record<string, number>>> {
  const nos: Record<string, number> = {};
  let nowMs = fromMs;
  const at = async (minute: number): Promise<void> => {
    nowMs = fromMs + minute * 60_000;
    await pass(nowMs);
  };
  const call = (account: Account, params: object, body: object = {}): never =>
    callOf(account, nowMs, { params, body, key: `${account} ${nowMs}` } as never) as never;
  const of = (name: string): { no: number } => ({ no: nos[name] ?? 0 });
  const arrives = async (name: string, minute: number, change: Columns = {}): Promise<void> => {
    await at(minute);
    nos[name] = await addIncident(db, nowMs, { rule: `r-${name}`, ...change });
    const { suppression = 0 } = change;
    await db.run('UPDATE suppression SET incidents = incidents + 1 WHERE no = $1', [suppression]);
  };
  const review = async (account: Account, name: string, verdict: string): Promise<readonly number[]> => {
    const { incident } = await handlers.incident(call(account, of(name)));
    const { revision } = incident;
    return (await handlers.judge(call(account, of(name), { revision, verdict, withoutLooking: true }))).undo
      .acts;
  };
  const send = async (account: Account, name: string, patrol?: string): Promise<readonly number[]> => {
    const { revision, undo } = await handlers.claim(call(account, of(name)));
    const body = { revision, ...(patrol !== undefined && { patrol }) };
    return [...undo.acts, ...(await handlers.dispatch(call(account, of(name), body))).undo.acts];
  };
  const answered = (name: string, patrol: string, answer: string) =>
    handlers.patrol(call('ben', of(name), { patrol, answer }));
  const undone = (account: Account, acts: readonly number[]) => handlers.undo(call(account, {}, { acts }));
  const reopened = async (name: string, as: string): Promise<readonly number[]> => {
    const { incident } = await handlers.incident(call('supervisor', of(name)));
    const entry = await handlers.reopen(call('supervisor', of(name), { revision: incident.revision }));
    nos[as] = entry.no;
    return entry.undo.acts;
  };
  const suppressed = (account: Account, rule: string) =>
    handlers.suppress(call(account, {}, { site: 'lyon', box: 'b-1', rule, reason: 'low sun' }));

  await arrives('first', -30);
  await arrives('second', -20);
  await arrives('early', -11);
  await at(-10);
  await send('anna', 'early', 'Patrol north');
  await at(5);
  await answered('early', 'Patrol north', 'arrived');
  await arrives('expired', 10);
  await at(11);
  await handlers.claim(call('anna', of('expired')));
  await at(13);
  await at(20);
  await review('anna', 'early', 'confirmed');
  const jpeg = Buffer.from(picture(900).bytes);
  const stills = [{ moment: 'snapshot', name: 'n.jpg', time: iso(nowMs), sha256: sha256Of(jpeg) }];
  await arrives('seen', 30, { still: 'n.jpg', detail: JSON.stringify({ stills }) });
  await addStill(db, { name: 'n.jpg' }, jpeg, nowMs);
  await at(31);
  await handlers.still(call('ben', { ...of('seen'), moment: 'snapshot' }));
  await review('ben', 'seen', 'false-alarm');
  await arrives('sent', 40);
  await at(41);
  await send('ben', 'sent', 'Patrol north');
  await at(42);
  await answered('sent', 'Patrol north', 'declined');
  await at(43);
  await send('ben', 'sent', 'Patrol south');
  await at(45);
  await handlers.note(call('ben', of('sent'), { text: 'Two people, one patrol is enough.' }));
  await at(46);
  const { undo } = await handlers.note(call('ben', of('sent'), { text: 'Wrong incident.' }));
  await undone('ben', undo.acts);
  await at(50);
  await answered('sent', 'Patrol south', 'arrived');
  await at(55);
  await review('ben', 'sent', 'confirmed');
  await at(60);
  await reopened('sent', 'again');
  await at(62);
  await undone('ben', await review('ben', 'again', 'unclear'));
  await arrives('blind', 70, { severity: 'system', kind: 'covered', priority: 3 });
  await at(71);
  await review('ben', 'blind', 'confirmed');
  await arrives('notice', 72, { severity: 'notice', priority: 3 });
  await arrives('mistaken', 80);
  await at(81);
  await undone('anna', await send('anna', 'mistaken', 'Patrol north'));
  await at(85);
  await review('anna', 'mistaken', 'unclear');
  await arrives('sun', 89, { rule: 'r-sun' });
  await at(90);
  const { no: suppression } = await suppressed('anna', 'r-sun');
  await arrives('shaded', 91, { rule: 'r-sun', suppression, is_suppressed: true });
  await at(150);
  await arrives('done', 200);
  await at(201);
  await review('ben', 'done', 'confirmed');
  await at(203);
  await undone('supervisor', await reopened('done', 'undone'));
  await arrives('withdrawn', 210);
  await at(211);
  await changeIncident(db, nos['withdrawn'] ?? 0, {
    state: 'closed',
    closed_at: iso(nowMs),
    closed_reason: 'box-revoked',
  });
  await arrives('out', 300);
  await at(301);
  await send('anna', 'out');
  await at(470);
  const { no: running } = await suppressed('ben', 'r-sun');
  await arrives('hidden', 471, { rule: 'r-sun', suppression: running, is_suppressed: true });
  return nos;
}
