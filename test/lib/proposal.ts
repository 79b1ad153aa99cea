/** A technician's proposal for a box with one zone and one rule: the yard's lower half, and a shorter time limit. */
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
