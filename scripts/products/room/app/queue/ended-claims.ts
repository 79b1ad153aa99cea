/** Tells a person which of their claims have expired: once for all that end together. */
import { effect } from '@preact/signals';
import { CLAIM_ENDS_WITHIN_S, hasClaimExpired } from '../../contract/terms.ts';
import { nowMs, session } from '../session.ts';
import { tell } from '../toasts.ts';
import { words } from '../words/words.ts';
import { loadedIncidents } from './store.ts';

/** Time in ms in which ended claims are collected. */
const COLLECT_MS = CLAIM_ENDS_WITHIN_S * 1000;

/** End of each of this person's claims, by incident. */
let claims = new Map<number, number>();
const endedNos = new Set<number>();

export function startEndedClaims(): void {
  effect(() => {
    const current = new Map<number, number>();
    for (const { no, state, claimedBy, claimedUntil } of loadedIncidents.value) {
      const endMs = claims.get(no);
      if (state === 'new' && endMs !== undefined && hasClaimExpired(endMs, nowMs())) note(no);
      if (state === 'claimed' && claimedBy === session.value?.user && claimedUntil !== null)
        current.set(no, Date.parse(claimedUntil));
    }
    claims = current;
  });
}

function note(no: number): void {
  if (endedNos.size === 0) {
    setTimeout(() => {
      tell('bad', words.value.success.claimsEnded([...endedNos]));
      endedNos.clear();
    }, COLLECT_MS);
  }
  endedNos.add(no);
}
