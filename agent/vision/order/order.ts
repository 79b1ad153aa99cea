/**
 * What vision may look at, and until when: it takes nobody's word, and opens the signed order itself.
 *
 * INVARIANTS: a camera is opened only under an order that the authority's key in the restraint folder has signed, for
 * this box and this camera, in its dates, while the folder tells of no suspension. Masks of the folder and of the order
 * are black whatever the agent says; evidence is sealed to the order's recipients and nobody else; colours of vehicles
 * are named only where the order's log of tracks has them. Without an order there is nothing but a recorded clip or a
 * made picture, and in the service's unit not even that.
 */
import { statSync } from 'node:fs';
import { AgentError, rethrowBug } from '../../base/errors.ts';
import type { Authorisation } from '../../contract/authorisation.ts';
import { cameraAddress, namesCamera, parseCameraSource } from '../../contract/camera-address.ts';
import type { MaskConfig } from '../../contract/config.ts';
import type { VisionSettings } from '../../contract/link.ts';
import type { RestraintFolder } from '../../orders/restraint-folder.ts';
import { authorisationFault, openAuthorisation } from '../../orders/signed-order.ts';

export interface Asked {
  /** The signed envelope; null for a recorded clip. */
  readonly order: string | null;
  readonly settings: Pick<VisionSettings, 'camera' | 'masks' | 'vehicleColours'>;
  /** Undefined where nobody named one: then no order can be opened. */
  readonly folder: RestraintFolder | undefined;
  /** Systemd runs this process as the service's unit. */
  readonly unit: boolean;
}

export interface Allowed {
  /** Those of the settings, of the folder and of the order. */
  readonly masks: readonly MaskConfig[];
  /** age keys to which evidence may be sealed; none: nothing is. */
  readonly sealTo: readonly string[];
  /** The camera's second stream, where settings and order both name it. */
  readonly substream: string | undefined;
  /** The order's log of tracks has names of vehicles' colours; of a recorded clip, the settings ask for them. */
  readonly vehicleColours: boolean;
  /** Throws AgentError `denied` when it is over. To be called often. */
  stillHolds(): void;
}

/** Throws AgentError `denied`. */
export function allowed(asked: Asked): Allowed {
  return asked.order === null ? recorded(asked) : ordered(asked, asked.order);
}

function recorded({ settings, unit }: Asked): Allowed {
  const { source } = settings.camera;
  if (unit || !isRecorded(source)) {
    throw new AgentError(
      'denied',
      'without a signed order only a recorded clip is looked at, and none by the service',
    );
  }
  const { masks, vehicleColours = false } = settings;
  return { masks, sealTo: [], substream: undefined, vehicleColours, stillHolds: () => undefined };
}

function ordered({ settings, folder }: Asked, order: string): Allowed {
  if (folder === undefined)
    throw new AgentError('denied', 'no folder tells whose orders count (VIGIE_RESTRAINT_DIR)');
  const { site, box, masks } = folder.box();
  const place = { site, box, camera: cameraAddress(settings.camera.source) };
  const content = opened(order, folder);
  const stillHolds = (): void => {
    const fault = authorisationFault(content, place, Date.now());
    if (fault !== undefined) throw new AgentError('denied', fault.message);
    const suspension = folder.suspension();
    if (suspension?.suspended === true) throw new AgentError('denied', `suspended: ${suspension.reason}`);
  };
  stillHolds();
  const black = distinct([...settings.masks, ...masks, ...(content.masks ?? [])]);
  const { substream } = settings.camera;
  return {
    masks: black,
    sealTo: content.ageRecipients ?? [],
    substream: namesCamera(content, cameraAddress(substream)) ? substream : undefined,
    vehicleColours: content.tracks?.colour === true,
    stillHolds,
  };
}

function opened(order: string, folder: RestraintFolder): Authorisation {
  try {
    return openAuthorisation(Buffer.from(order), folder.authority());
  } catch (error) {
    rethrowBug(error);
    throw new AgentError('denied', error.message, error);
  }
}

/**
 * A clip or the test picture: no device, no pipe, nothing on the network. That there is no such clip, the camera says; it
 * checks again the file that it has opened (camera/target.ts), which a link may have changed.
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
