/** Options of the programs that send the room's commands to boxes. */
import { Option } from '@commander-js/extra-typings';

export const ROOM_KEY_TEXT =
  'ed25519 private key, PEM (openssl genpkey -algorithm ed25519 -out FILE), whose public half the box lets command this';

export const roomOption = () =>
  new Option(
    '--room <where>',
    'room.yaml (site, timeZone, mqtt: {url, ca, cert, key}), or mqtts://host:port',
  );
export const siteOption = () => new Option('--site <site>', 'with --room mqtts://…: name of the site');
export const caOption = () =>
  new Option('--ca <file>', 'with --room mqtts://…: certificate authority of the broker, PEM');
export const certOption = () =>
  new Option('--cert <file>', 'with --room mqtts://…: certificate of the room, PEM');
export const certKeyOption = () =>
  new Option('--cert-key <file>', 'with --room mqtts://…: its private key, PEM');
