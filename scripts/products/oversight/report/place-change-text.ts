/** Describes a changed zone, line or mask, with its corners before and after. */
import type { RedrawnPlace } from '../../../../agent/contract/journal.ts';

/** Returns a text such as `zone forecourt from (0.1, 0.2) … to (0.1, 0.3) …`. */
export function redrawnText({ list, id, before, after }: RedrawnPlace): string {
  const placeName = `${list.replace(/s$/, '')} ${id}`;
  if (after === null) return `${placeName} removed, was at ${cornersText(before)}`;
  if (before === null) return `${placeName} new at ${cornersText(after)}`;
  return `${placeName} from ${cornersText(before)} to ${cornersText(after)}`;
}

function cornersText(corners: RedrawnPlace['before']): string {
  if (corners === null || corners === 'unknown') return 'an unknown place';
  return corners.map(([x, y]) => `(${x}, ${y})`).join(' ');
}
