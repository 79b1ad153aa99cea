/** What vision is connected to: told by it with each opening, kept in the journal and shown at the box. */
import { type Static, Type } from '@sinclair/typebox';
import { parseCameraSource } from './camera-address.ts';

/** Characters of an address or path; what is longer is cut. */
export const CONNECTED_MAX = 500;

/** Scheme, address and port of a camera, or real path of a device or clip; no login: `rtsp://10.0.0.7:554`, `v4l2:/dev/video0`. */
export const Connected = Type.String({ maxLength: CONNECTED_MAX });
export type Connected = Static<typeof Connected>;

/** An address of a number, of a host that is none: cameraAddress has refused what looks like one and is none. */
const ADDRESS = /^[\d.]+$|:/;

/**
 * Whether what vision is connected to is what a source names: the kind; of a camera on the network its port, and its
 * address where the source has no name; of a device its path where that is not a link of udev's.
 */
export function isConnectedAs(source: string, connected: string): boolean {
  const [named, found] = [parseCameraSource(source), parseCameraSource(connected)];
  if ('fault' in named || 'fault' in found || named.kind !== found.kind) return false;
  if (named.kind === 'rtsp' && found.kind === 'rtsp')
    return named.port === found.port && (named.host === found.host || !ADDRESS.test(named.host));
  if (named.kind === 'v4l2')
    return named.address === found.address || !/^v4l2:\/dev\/video\d+$/.test(named.address);
  // The real path of a clip may be any.
  return named.kind === 'file' || named.address === found.address;
}
