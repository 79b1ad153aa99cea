/** The screens beside the queue, each as its place in the router is named. */
import type { ComponentType } from 'preact';
import type { Place } from '../router.ts';

/** One that is not here is not in the header either. */
export const VIEWS: Partial<Readonly<Record<Exclude<Place, 'queue'>, ComponentType>>> = {};
