/**
 * Decides which source vision may open, and until when. It trusts no other process and verifies the signed
 * authorisation itself.
 *
 * INVARIANTS:
 * - A camera is opened only under an authorisation signed by the authority's key in the restraint folder. It must name
 *   this box and this camera and be within its dates, and the folder must hold no suspension.
 * - Masks of the folder and of the authorisation are black regardless of the agent's settings.
 * - Evidence is sealed only to the recipients of the authorisation.
 * - Vehicle colours are named only if the authorisation's track log includes them.
 * - Without an authorisation only a recorded clip or the test picture is opened. In the service's unit, not even that.
 */
import { statSync } from 'node:fs';
import { AgentError, rethrowBug } from '../../base/errors.ts';
import type { Authorisation } from '../../contract/authorisation.ts';
import { configuredStream, parseCameraSource } from '../../contract/camera-address.ts';
import type { MaskConfig } from '../../contract/config.ts';
import type { VisionSettings } from '../../contract/link.ts';
import { namesCamera } from '../../orders/camera-pin.ts';
import type { RestraintFolder } from '../../orders/restraint-folder.ts';
import { authorisationRefusal, openAuthorisation } from '../../orders/signed-authorisation.ts';

export interface AccessRequest {
  /** Signed envelope; null for a recorded clip. */
  readonly order: string | null;
  readonly settings: Pick<VisionSettings, 'camera' | 'masks' | 'vehicleColours'>;
  /** Undefined if none is configured: then no authorisation can be opened. */
  readonly folder: RestraintFolder | undefined;
  /** True if systemd runs this process as the service's unit. */
  readonly unit: boolean;
}

export interface Allowed {
  /** Masks of the settings, the folder and the authorisation. */
  readonly masks: readonly MaskConfig[];
  /** age keys to which evidence may be sealed. Empty: no evidence is sealed. */
  readonly sealTo: readonly string[];
  /** The camera's second stream, if both the settings and the authorisation name it. */
  readonly substream: string | undefined;
  /** True if the authorisation's track log includes vehicle colours. For a recorded clip, the settings decide. */
  readonly vehicleColours: boolean;
  /**
   * Checks the dates and the suspension again; to be called often.
   *
   * @throws AgentError `denied` if the permission has ended.
   */
  stillHolds(): void;
}

/**
 * Returns the sources, masks and keys that vision may use.
 *
 * @throws AgentError `denied` if nothing may be opened.
 */
export function allowed(request: AccessRequest): Allowed {
  return request.order === null ? recorded(request) : authorised(request, request.order);
}

function recorded({ settings, unit }: AccessRequest): Allowed {
  const { source } = settings.camera;
  if (unit || !isRecorded(source)) {
    throw new AgentError(
      'denied',
      'without a signed authorisation only a recorded clip may be analysed, and not by the service',
    );
  }
  const { masks, vehicleColours = false } = settings;
  return { masks, sealTo: [], substream: undefined, vehicleColours, stillHolds: () => undefined };
}

function authorised({ settings, folder }: AccessRequest, envelope: string): Allowed {
  if (folder === undefined)
    throw new AgentError('denied', 'no folder names the authority (VIGIE_RESTRAINT_DIR)');
  const { site, box, masks } = folder.box();
  const place = { site, box, camera: configuredStream(settings.camera.source) };
  const content = openEnvelope(envelope, folder);
  const stillHolds = (): void => {
    const problem = authorisationRefusal(content, place, Date.now());
    if (problem !== undefined) throw new AgentError('denied', problem.message);
    const suspension = folder.suspension();
    if (suspension?.suspended === true) throw new AgentError('denied', `suspended: ${suspension.reason}`);
  };
  stillHolds();
  const black = distinct([...settings.masks, ...masks, ...(content.masks ?? [])]);
  const { substream } = settings.camera;
  return {
    masks: black,
    sealTo: content.ageRecipients ?? [],
    substream: namesCamera(content, configuredStream(substream)) ? substream : undefined,
    vehicleColours: content.tracks?.colour === true,
    stillHolds,
  };
}

function openEnvelope(envelope: string, folder: RestraintFolder): Authorisation {
  try {
    return openAuthorisation(Buffer.from(envelope), folder.authority());
  } catch (error) {
    rethrowBug(error);
    throw new AgentError('denied', error.message, error);
  }
}

/**
 * Reports whether the source is a clip or the test picture: no device, no pipe, nothing on the network.
 *
 * A missing clip counts, because the camera reports it. The camera checks the opened file again (camera/target.ts),
 * since a link may have changed.
 */
function isRecorded(text: string): boolean {
  const source = parseCameraSource(text);
  if ('fault' in source) return false;
  if (source.kind !== 'file') return source.kind === 'test';
  return statSync(source.path, { throwIfNoEntry: false })?.isFile() ?? true;
}

function distinct(masks: readonly MaskConfig[]): MaskConfig[] {
  return [...new Map(masks.map((mask) => [JSON.stringify(mask.polygon), mask])).values()];
}
