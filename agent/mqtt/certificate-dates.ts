/**
 * When the certificates of the broker's connection end: the box's own, and its authority's. Read at the start, once a day
 * and when asked; a file that cannot be read says nothing, which the connection itself tells of.
 *
 * LIMITS: PEM_BYTES_MAX are read of each file.
 */
import { X509Certificate } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import type { Clock } from '../base/clock.ts';
import type { MqttConfig } from '../contract/config.ts';
import type { CertificateReport } from '../contract/health.ts';

const LOOK_EVERY_MS = 86_400_000;
/** A chain of certificates takes some kB. */
const PEM_BYTES_MAX = 262_144;
const CERTIFICATES = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

export interface CertificateDatesOptions {
  readonly config: Pick<MqttConfig, 'cert' | 'ca'> | undefined;
  readonly clock: Pick<Clock, 'nowMs' | 'wallMs'>;
}

/** Wall times, ms; null: none is configured; undefined: it cannot be read. */
interface Ends {
  readonly certificate: number | null | undefined;
  readonly ca: number | null | undefined;
}

export class CertificateDates {
  readonly #options: CertificateDatesOptions;
  #ends: Ends | undefined;
  #lookAtMs = 0;

  constructor(options: CertificateDatesOptions) {
    this.#options = options;
  }

  /** As of the last look, a day ago at most. */
  get ends(): Ends {
    const { config, clock } = this.#options;
    if (this.#ends !== undefined && clock.nowMs() < this.#lookAtMs) return this.#ends;
    this.#lookAtMs = clock.nowMs() + LOOK_EVERY_MS;
    this.#ends = {
      certificate: config?.cert === undefined ? null : endsOf(config.cert)[0],
      ca: config?.ca === undefined ? null : firstToEnd(endsOf(config.ca), clock.wallMs()),
    };
    return this.#ends;
  }

  /** Reads them anew with the next question. */
  reload(): void {
    this.#ends = undefined;
  }

  /** Null where there is no certificate, or none that can be read. */
  get report(): CertificateReport | null {
    const { certificate, ca } = this.ends;
    if (certificate == null) return null;
    return { notAfter: iso(certificate), caNotAfter: ca == null ? null : iso(ca) };
  }
}

const iso = (ms: number): string => new Date(ms).toISOString();

/** Of a bundle of authorities, as there is while one takes over from another, the next one that ends counts. */
function firstToEnd(ends: readonly number[], wallMs: number): number | undefined {
  const ahead = ends.filter((ms) => ms > wallMs);
  if (ahead.length > 0) return Math.min(...ahead);
  return ends.length === 0 ? undefined : Math.max(...ends);
}

/** Of each certificate in the file, in its order; none where it cannot be read. */
function endsOf(file: string): number[] {
  try {
    const fd = openSync(file, 'r');
    try {
      const bytes = Buffer.alloc(PEM_BYTES_MAX);
      const text = bytes.subarray(0, readSync(fd, bytes)).toString('latin1');
      return (text.match(CERTIFICATES) ?? []).map((pem) => Date.parse(new X509Certificate(pem).validTo));
    } finally {
      closeSync(fd);
    }
  } catch {
    return [];
  }
}
