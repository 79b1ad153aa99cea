/** Screens beside the queue, by their place in the router. */
import type { ComponentType } from 'preact';
import type { Place } from '../router.ts';
import { AuditScreen } from './audit.tsx';
import { CamerasScreen } from './cameras.tsx';
import { StatisticsScreen } from './figures.tsx';
import { HandOverScreen } from './hand-over.tsx';
import { PlanScreen } from './plan.tsx';
import { SearchScreen } from './search.tsx';
import { TracksScreen } from './tracks.tsx';

export const VIEWS: Readonly<Record<Exclude<Place, 'queue'>, ComponentType>> = {
  audit: AuditScreen,
  cameras: CamerasScreen,
  figures: StatisticsScreen,
  'hand-over': HandOverScreen,
  plan: PlanScreen,
  search: SearchScreen,
  tracks: TracksScreen,
};
