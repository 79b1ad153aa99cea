/**
 * Connection of the vision process: the camera, device or clip it has opened. Vision reports it each time it opens one.
 * It is stored in the journal and shown on the box.
 */
import { type Static, Type } from '@sinclair/typebox';
import { parseCameraSource } from './camera-address.ts';

/** Maximum length of an address or path, in characters; longer ones are cut. */
export const CONNECTED_MAX = 500;

/**
 * Scheme, address and port of a camera, or real path of a device or clip, without login: `rtsp://10.0.0.7:554`,
 * `v4l2:/dev/video0`.
 */
export const Connected = Type.String({ maxLength: CONNECTED_MAX });
export type Connected = Static<typeof Connected>;

/** Matches a numeric address. A host that only looks like one is refused by cameraAddress. */
const ADDRESS = /^[\d.]+$|:/;

/**
 * Reports whether vision's connection matches a source.
 * The kinds must be equal. A network camera must have the same port, and the same address unless the source names a
 * host. A device must have the same path unless that is a link made by udev.
 */
export function isConnectedAs(source: string, connected: string): boolean {
  const [configuredCamera, connectedCamera] = [parseCameraSource(source), parseCameraSource(connected)];
  if (
    'fault' in configuredCamera ||
    'fault' in connectedCamera ||
    configuredCamera.kind !== connectedCamera.kind
  )
    return false;
  if (configuredCamera.kind === 'rtsp' && connectedCamera.kind === 'rtsp')
    return (
      configuredCamera.port === connectedCamera.port &&
      (configuredCamera.host === connectedCamera.host || !ADDRESS.test(configuredCamera.host))
    );
  if (configuredCamera.kind === 'v4l2')
    return (
      configuredCamera.address === connectedCamera.address ||
      !/^v4l2:\/dev\/video\d+$/.test(configuredCamera.address)
    );
  // A clip may have any real path.
  return configuredCamera.kind === 'file' || configuredCamera.address === connectedCamera.address;
}
