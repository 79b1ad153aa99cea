/**
 * Expiry dates of the certificates of the broker connection: the box's own, and its authority's. They are read at the
 * start, once a day and on request. An unreadable file yields no date; the connection itself reports it.
 *
 * LIMITS: PEM_BYTES_MAX are read of each file.
 */
import { X509Certificate } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import type { Clock } from '../base/clock.ts';
import type { MqttConfig } from '../contract/config.ts';
import type { CertificateReport } from '../contract/health.ts';

const READ_EVERY_MS = 86_400_000;
/** Maximum size in bytes; a chain of certificates takes some kB. */
const PEM_BYTES_MAX = 262_144;
const CERTIFICATES = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

export interface CertificateDatesOptions {
  readonly config: Pick<MqttConfig, 'cert' | 'ca'> | undefined;
  readonly clock: Pick<Clock, 'nowMs' | 'wallMs'>;
}

/** Wall times in ms. Null if none is configured, undefined if unreadable. */
interface Ends {
  readonly certificate: number | null | undefined;
  readonly ca: number | null | undefined;
}

export class CertificateDates {
  readonly #options: CertificateDatesOptions;
  #ends: Ends | undefined;
  #nextReadMs = 0;

  constructor(options: CertificateDatesOptions) {
    this.#options = options;
  }

  /** Dates as of the last reading, at most a day ago. */
  get ends(): Ends {
    const { config, clock } = this.#options;
    if (this.#ends !== undefined && clock.nowMs() < this.#nextReadMs) return this.#ends;
    this.#nextReadMs = clock.nowMs() + READ_EVERY_MS;
    this.#ends = {
      certificate: config?.cert === undefined ? null : endsOf(config.cert)[0],
      ca: config?.ca === undefined ? null : firstToEnd(endsOf(config.ca), clock.wallMs()),
    };
    return this.#ends;
  }

  /** Forces reading the files at the next query. */
  reload(): void {
    this.#ends = undefined;
  }

  /** Null if there is no readable certificate. */
  get report(): CertificateReport | null {
    const { certificate, ca } = this.ends;
    if (certificate == null) return null;
    return { notAfter: iso(certificate), caNotAfter: ca == null ? null : iso(ca) };
  }
}

const iso = (ms: number): string => new Date(ms).toISOString();

/** Returns the next expiry in a bundle of authorities, as exists while one replaces another. */
function firstToEnd(ends: readonly number[], wallMs: number): number | undefined {
  const futureEnds = ends.filter((ms) => ms > wallMs);
  if (futureEnds.length > 0) return Math.min(...futureEnds);
  return ends.length === 0 ? undefined : Math.max(...ends);
}

/** Returns the expiry of each certificate in the file, in its order; none if it cannot be read. */
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
