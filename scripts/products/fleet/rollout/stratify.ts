/**
 * Assigns boxes to waves. Every wave represents the fleet: it contains each kind of board at each site in about the
 * same ratio. Deterministic: the same boxes, name and plan give the same waves on any machine.
 */
import { createHash } from 'node:crypto';
import { AgentError } from '../../../../agent/base/errors.ts';
import type { Plan } from './plan.ts';

/**
 * Size of a part of the last wave: a tenth of all boxes (docs/design/023-rollouts.md), and at least so many that a mute
 * box does not hold it.
 */
const PART_RATIO = 0.1;
const PART_BOXES_MIN = 12;

export interface Member {
  readonly site: string;
  readonly box: string;
  readonly board: string;
}

/**
 * Returns the wave of each box, in their order: 0 for the canaries, n for `waves[n - 1]` of the plan. A wave may be
 * empty. Throws AgentError `config` if a canary is not among the boxes.
 */
export function assignWaves(
  name: string,
  members: readonly Member[],
  plan: Pick<Plan, 'canary' | 'waves'>,
): number[] {
  const canaries = new Set(plan.canary.boxes);
  const missing = plan.canary.boxes.filter((box) => !members.some((member) => member.box === box));
  if (missing.length > 0) {
    const one = missing.length === 1;
    const message = `canary.boxes: ${missing.join(', ')} ${one ? 'is' : 'are'} not among the boxes that would take it`;
    throw new AgentError('config', message);
  }
  const waves = members.map(() => 0);
  const rest = spread(
    name,
    members.flatMap((member, index) => (canaries.has(member.box) ? [] : [{ member, index }])),
  );
  let at = 0;
  let reached = members.length - rest.length;
  for (const [n, { share: ratio }] of plan.waves.entries()) {
    for (const upTo = Math.ceil(ratio * members.length - 1e-9); reached < upTo; reached += 1) {
      const next = rest[at];
      if (next === undefined) break;
      waves[next.index] = n + 1;
      at += 1;
    }
  }
  return waves;
}

/**
 * Returns the plan with its last wave in parts, each a wave of its own: the next one begins when the one before is
 * confirmed and heard. The soak time of the last wave is that of its last part.
 */
export function inParts<P extends Pick<Plan, 'canary' | 'waves'>>(plan: P, boxes: number): P {
  const last = plan.waves.at(-1);
  if (last === undefined) return plan;
  const before = plan.waves.slice(0, -1);
  const from = Math.max(before.at(-1)?.share ?? 0, plan.canary.boxes.length / boxes);
  const count = Math.ceil(
    ((1 - from) * boxes) / Math.max(PART_BOXES_MIN, Math.ceil(PART_RATIO * boxes)) - 1e-9,
  );
  const parts = Array.from({ length: Math.max(0, count - 1) }, (_, i) => ({
    share: from + ((1 - from) * (i + 1)) / count,
    soakHours: 0,
  }));
  return { ...plan, waves: [...before, ...parts, last] };
}

interface Placed {
  readonly member: Member;
  readonly index: number;
}

/**
 * Orders the boxes so that each prefix contains each board in its ratio, and within a board each site (systematic
 * sampling, twice). Boards come first, since they are what breaks a release; a site has few boxes of one board.
 */
function spread(name: string, members: readonly Placed[]): Placed[] {
  const ranked = members.map((placed) => ({ placed, rank: rankOf(name, placed.member) }));
  const boards = groups(ranked, ({ placed }) => placed.member.board);
  return evenly(boards.map((board) => evenly(groups(board, ({ placed }) => placed.member.site)))).map(
    ({ placed }) => placed,
  );
}

interface Ranked {
  readonly placed: Placed;
  readonly rank: string;
}

/**
 * Returns a pseudo-random but reproducible rank. It depends on the rollout's name, so that the same boxes do not always
 * go first.
 */
function rankOf(name: string, { site, box }: Member): string {
  return createHash('sha256').update(`${name}\n${site}/${box}`).digest('hex');
}

function groups(all: readonly Ranked[], by: (one: Ranked) => string): Ranked[][] {
  const byKey = new Map<string, Ranked[]>();
  for (const one of all) {
    const list = byKey.get(by(one)) ?? [];
    list.push(one);
    byKey.set(by(one), list);
  }
  for (const list of byKey.values()) list.sort((a, b) => (a.rank < b.rank ? -1 : 1));
  return [...byKey.values()];
}

/**
 * Merges lists so that each is spread evenly over the result. Each begins at a pseudo-random offset in its first step,
 * or the small ones would all meet in the middle.
 */
function evenly(lists: readonly (readonly Ranked[])[]): Ranked[] {
  return lists
    .flatMap((list) => {
      const offset = Number.parseInt(list[0]?.rank.slice(-8) ?? '0', 16) / 2 ** 32;
      return list.map((one, i) => ({ one, position: (i + offset) / list.length }));
    })
    .sort((a, b) => a.position - b.position || (a.one.rank < b.one.rank ? -1 : 1))
    .map(({ one }) => one);
}
