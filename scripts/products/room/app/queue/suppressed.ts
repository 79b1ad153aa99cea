/** Holds the suppressions that run, as queue and stream report them. */
import { signal } from '@preact/signals';
import type { Suppression } from '../../contract/suppression.ts';

export const suppressions = signal<readonly Suppression[]>([]);
