/** What a process with many simulated boxes is asked, and what it tells. */

export type LoadAsk =
  | {
      readonly do: 'connect';
      readonly url: string;
      /** With `ca.crt`, `box.key` for all, and a certificate for each by its name. */
      readonly dir: string;
      readonly first: number;
      readonly count: number;
      /** Connections begun in a second. */
      readonly perS: number;
    }
  | {
      readonly do: 'rate';
      /** Messages of all its boxes together in a second; 0: none. */
      readonly perS: number;
      /** Every third is a picture of STILL_BYTES. */
      readonly stills: boolean;
    };

export interface LoadCounts {
  connected: number;
  /** Connections that could not be made, or were lost; each is tried again. */
  failed: number;
  /** Events and pictures, which the archive acknowledges. */
  sent: number;
  /** Reports of how a box is, which it does not. */
  health: number;
  refused: number;
  /** By the archive's acknowledgements. */
  stored: number;
}

/** The mean of the demonstration's pictures, docs/guide/broker.md. */
export const STILL_BYTES = 58_000;

const SITES = 30;

export const loadName = (no: number): string => `load-${String(no).padStart(5, '0')}`;
export const loadSite = (no: number): string => `site-${no % SITES}`;
