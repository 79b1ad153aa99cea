/**
 * HTTPS API between the technician's phone and the page's server, with JSON in both directions. Types only: the phone's
 * code is built from them, and the server validates requests.
 *
 * | method, path | body → answer |
 * | --- | --- |
 * | GET /api/hello | → Hello; the only one without a session besides pair |
 * | POST /api/pair | {code, attempt} → {} and the cookie; 401 PairRefused wrong, 429 PairRefused locked |
 * | POST /api/unpair | {} → {} |
 * | POST /api/code | {} → {code, minutes}: a new code for one more phone |
 * | GET /api/state?language=fr | → PageState |
 * | GET /api/preview | → stream of frames: uint32 BE header length, PreviewHeader, uint32 BE JPEG length, JPEG |
 * | POST /api/config/check, /try | Proposal → ConfigReply |
 * | POST /api/config/keep, /revert | {trial} → ConfigReply |
 * | POST /api/walk/start | {rule, passes} → {} |
 * | POST /api/walk/answer | {answer} → {} |
 * | POST /api/view/confirm | {} → {} |
 * | POST /api/cameras | {} → {cameras: FoundCamera[]}: ONVIF devices on the same network |
 * | POST /api/cameras/stream | {address, user, password} → CameraStreams: a camera’s streams by ONVIF |
 * | POST /api/receipt | {} → {}: issues the receipt of the installation and sends it to the room |
 * | GET /api/receipt.jpg | → image/jpeg: redacted still of the newest receipt |
 * | GET /api/receipt.pdf?language=fr | → application/pdf |
 *
 * `attempt` is a random number of the phone, 32 hexadecimal digits. A phone that got no answer sends the same again.
 * A refused request has a Refusal as its body.
 */
import type { ConfigReply } from './config-trial.ts';
import type { AgentView, NoPicture, SeenTrack } from './page-link.ts';

export interface Refusal {
  /** Code for which the phone has a text. */
  readonly error: string;
  /** One line in English, if there is more to say. */
  readonly reason?: string;
}

export interface PairRefused extends Refusal {
  readonly error: 'wrong' | 'locked' | 'used' | 'expired' | 'no-code';
  /** Attempts before the lock. */
  readonly left?: number;
  /** Delay before the next attempt, in s. */
  readonly retryInS?: number;
}

export interface Hello {
  readonly site: string;
  readonly box: string;
  readonly paired: boolean;
  readonly version: string;
}

/** Enrolment state of the box's certificate, written by `vigie-enrol`. */
export interface EnrolmentView {
  readonly state: 'none' | 'waiting' | 'pending' | 'refused' | 'enrolled';
  readonly reason: string | null;
  readonly notAfter: string | null;
}

export interface PageState {
  /** Null while the agent does not answer, with the reason in `agentReason`. */
  readonly agent: AgentView | null;
  readonly agentReason: string | null;
  /** Installed configuration and running trial; null if the helper does not answer. */
  readonly config: ConfigReply | null;
  readonly configReason: string | null;
  readonly enrolment: EnrolmentView;
  /** Time until this session ends, in s. */
  readonly sessionLeftS: number;
}

export interface FoundCamera {
  readonly name: string;
  /** Host or host:port. */
  readonly address: string;
}

/** Addresses of a camera's streams, including user and password. */
export interface CameraStreams {
  readonly source: string;
  /** Second, smaller stream; absent if the camera names none. */
  readonly substream?: string;
}

export type PreviewHeader =
  | {
      readonly picture: true;
      readonly widthPx: number;
      readonly heightPx: number;
      readonly atMs: number;
      readonly tracks: readonly SeenTrack[];
    }
  | { readonly picture: false; readonly why: NoPicture; readonly reason: string };
