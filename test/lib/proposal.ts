/** What a technician proposes for a box that has one zone and one rule: the yard's lower half, and less patience. */
import type { Proposal } from '../../agent/contract/proposal.ts';

export const PROPOSAL: Proposal = {
  zones: [
    {
      id: 'yard',
      polygon: [
        [0, 0.5],
        [1, 0.5],
        [1, 1],
      ],
    },
  ],
  lines: [],
  masks: [],
  rules: [{ id: 'stay', kind: 'loitering', zone: 'yard', classes: ['person'], afterS: 3, purpose: 'safety' }],
};
