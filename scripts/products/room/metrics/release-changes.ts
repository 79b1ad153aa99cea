/** Maps each program of a box to its release in an update report. */
import type { ReleaseKind } from '../../../../agent/contract/release.ts';
import type { UpdateReport } from '../../../../agent/contract/update.ts';

export type Updater = NonNullable<UpdateReport['updater']>;
export type ReleaseChange = Pick<Updater, 'release' | 'phase' | 'since' | 'rollout' | 'target'>;

export const CHANGES: Readonly<Record<ReleaseKind, (updater: Updater) => ReleaseChange>> = {
  release: (updater) => updater,
  root: ({ root }) => root,
};
