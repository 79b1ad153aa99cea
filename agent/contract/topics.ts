/** The topics of one box. Everything it writes lies under `vigie/<site>/<box>/`, so that one ACL line does. */
import { ALL_BOXES } from './command.ts';
import type { Severity } from './event.ts';

export interface Topics {
  /** `vigie/<site>/<box>`, without a slash at its end. */
  readonly root: string;
  readonly status: string;
  readonly health: string;
  /** Whether the box looks, signed. */
  readonly mode: string;
  /** The journal's newest signed checkpoint. */
  readonly journalHead: string;
  /** The same with the proof that it continues what the witness has cosigned. */
  readonly journalProvenHead: string;
  /** From the witness: the newest checkpoint that it has cosigned. */
  readonly journalWitnessed: string;
  /** From the room's archive: all through these numbers are stored. */
  readonly ack: string;
  /** From the room's operators: what they say of an alert. */
  readonly verdict: string;
  /** Written by `doctor` to see whether publishing is allowed; nobody needs to read it. */
  readonly probe: string;
  /** Signed commands for this box, and for every box of the site. */
  readonly command: string;
  readonly commandAll: string;
  /** Retained: which release, and which configuration, the room wants of this box; signed. */
  readonly updateDesired: string;
  readonly configDesired: string;
  /** Retained: what the box runs and how far it is, signed. */
  readonly updateReported: string;
  event(severity: Severity, kind: string): string;
  snapshot(eventId: string): string;
  /**
   * Where to answer a command whose response topic is `responseTopic`; undefined where that lies outside of
   * `reply/` of this box or of all boxes. In the latter each box answers below its own name.
   */
  replyTo(responseTopic: string | undefined): string | undefined;
}

/** What no box may be called, and why: who else has a name at the room's broker (scripts/programs/room/broker). */
export const NAMES_OF_OTHERS: Readonly<Record<string, string>> = {
  [ALL_BOXES]: 'means every box of the site in topics',
  room: 'is the room’s own name at the broker',
  witness: 'is the name of the journals’ witness at the broker',
  fleet: 'is the name of whoever updates the boxes at the broker',
  metrics: 'is the name of the room’s metrics at the broker',
  reader: 'is the name of other programs that only read at the broker',
  homeassistant: 'is the name of Home Assistant at the broker',
};

/** Last level of a response topic. */
export const REPLY_TOKEN = /^[A-Za-z0-9_-]{1,64}$/;

export function topicsOf(site: string, box: string): Topics {
  const root = `vigie/${site}/${box}`;
  const rootAll = `vigie/${site}/${ALL_BOXES}`;
  return {
    root,
    status: `${root}/status`,
    health: `${root}/health`,
    mode: `${root}/mode`,
    journalHead: `${root}/journal/head`,
    journalProvenHead: `${root}/journal/growth`,
    journalWitnessed: `${root}/journal/witnessed`,
    ack: `${root}/ack`,
    verdict: `${root}/verdict`,
    probe: `${root}/probe`,
    command: `${root}/cmd`,
    commandAll: `${rootAll}/cmd`,
    updateDesired: `${root}/update/desired`,
    configDesired: `${root}/config/desired`,
    updateReported: `${root}/update/reported`,
    event: (severity, kind) => `${root}/evt/${severity}/${kind}`,
    snapshot: (eventId) => `${root}/snap/${eventId}`,
    replyTo: (responseTopic = '') => {
      const prefix = [`${root}/reply/`, `${rootAll}/reply/`].find((start) => responseTopic.startsWith(start));
      const token = prefix === undefined ? '' : responseTopic.slice(prefix.length);
      return REPLY_TOKEN.test(token) ? `${root}/reply/${token}` : undefined;
    },
  };
}
