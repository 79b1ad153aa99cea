/** Actions that fix a failure, for a person with a shell on the box. */
export const TERMINAL_FIXES = {
  mode: 'the box watches nothing until it has a valid authorisation',
  installation: 'install the authorisation (`authorisation`) before this one expires',
  authorisation: 'ask the authority for the next authorisation; docs/guide/authorisation.md, Renewal',
  certificate: 'renew it; docs/guide/operations.md, certificate-expiring',
  camera: 'check its power, cable and address; sudo -u vigie vigie doctor tests it and explains more',
  analysis: 'journalctl -u vigie-vision says why no frame comes through',
  doctor: 'sudo -u vigie vigie doctor tests it and explains more',
  outboxInMemory: 'the disk refuses writes: replace the card, or make room on it',
  outboxUnacknowledged:
    'run an archive in the room (docs/guide/room.md), or set mqtt.ack: broker where none is to run',
  outboxLost: 'it was full because the broker was unavailable for too long; restore the connection',
  outboxTooLarge: 'allow messages of 300000 bytes at the broker (Mosquitto: max_packet_size)',
  clock: 'sudo timedatectl set-ntp true, and let NTP out (UDP 123)',
  noJournal: 'journalctl -u vigie says why',
  journal: 'the disk refused writes; see docs/guide/journal.md',
  disk: (neededMiB: number) => `make room: ${neededMiB} MiB are needed for outbox and archive`,
  heat: 'shade the box, clear its vents, or lower camera.fps',
  smallPeople: (widthPx: number, heightPx: number) =>
    `set detector.input: [${widthPx}, ${heightPx}]: people this small are missed otherwise`,
  tallPeople: 'set detector.input: [416, 256]: a larger input misses more of the people this close',
  fastObjects: (fps: number) =>
    `set camera.fps: ${fps}: objects this fast are lost between two detector runs`,
  /** Section of the operations guide. */
  guide: (section: string) => `docs/guide/operations.md, ${section}`,
} as const;
