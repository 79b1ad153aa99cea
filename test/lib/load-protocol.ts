/** Messages between a test and its processes of simulated boxes. */

export type LoadAsk =
  | {
      readonly do: 'connect';
      readonly url: string;
      /** Folder with `ca.crt`, `box.key` for all, and a certificate for each box by its name. */
      readonly dir: string;
      readonly first: number;
      readonly count: number;
      /** Connections started per second. */
      readonly perS: number;
    }
  | {
      readonly do: 'rate';
      /** Messages per second of all its boxes together; 0 sends none. */
      readonly perS: number;
      /** True if every third message is a picture of STILL_BYTES. */
      readonly stills: boolean;
    };

export interface LoadCounts {
  connected: number;
  /** Connections that failed or were lost; each is tried again. */
  failed: number;
  /** Events and pictures sent, which the archive acknowledges. */
  sentCount: number;
  /** Health reports sent, which the archive does not acknowledge. */
  health: number;
  refusedCount: number;
  /** Messages stored, by the archive's acknowledgements. */
  stored: number;
}

export const noCounts = (): LoadCounts => ({
  connected: 0,
  failed: 0,
  sentCount: 0,
  health: 0,
  refusedCount: 0,
  stored: 0,
});

/** Bytes of a still: the mean of the demonstration's pictures, docs/guide/broker.md. */
export const STILL_BYTES = 58_000;

const SITES = 30;

export const loadName = (no: number): string => `load-${String(no).padStart(5, '0')}`;
export const loadSite = (no: number): string => `site-${no % SITES}`;
