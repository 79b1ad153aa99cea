/**
 * Commands of `vigie-root` that are called by units and do not change releases: configuration, enrolment, card,
 * network.
 */
import { type Command, Option } from '@commander-js/extra-typings';
import { command, configOption, DEFAULT_CONFIG, stateOption } from '../../../agent/cli/commands/options.ts';
import { ENROL_STATUS_FILE } from '../../../agent/contract/enrolment.ts';
import { ROOT_RECORD_DIR } from '../../../agent/contract/root-record.ts';
import type { EnrolCommandOptions, RenewCommandOptions } from './enrolment/enrol-command.ts';
import type { HotspotCommandOptions } from './network/hotspot-command.ts';
import type { OwnOptions } from './restraint.ts';

export function addBoxCommands(program: Command): void {
  command(
    program,
    'boot-partition',
    'take vigie.yaml, certificates and key from a folder, once, and leave result.txt there',
    [['sudo systemctl start vigie-provision', 'as at boot']],
  )
    .option('--from <dir>', 'folder with vigie.yaml and the files that it names', '/boot/firmware/vigie')
    .option('--to <dir>', 'where they go', '/etc/vigie')
    .action(async (options: { from: string; to: string }) => {
      const { provisionBootPartition } = await import('./card/boot-partition-command.ts');
      process.exitCode = provisionBootPartition(options);
    });
  ownCommand(program, 'camera-address', 'let vision reach the address of its camera, and no other', [
    ['sudo systemctl start vigie-camera-address', 'as at each start of the agent'],
  ])
    .addOption(stateOption())
    .action(async (options: OwnOptions) => {
      const { provisionCameraAddress } = await import('./network/camera-address.ts');
      await provisionCameraAddress(options);
    });
  addHotspot(program);
  addEnrolment(program);
  addRestraint(program);
  command(program, 'logs', 'lines of the log for the room, redacted: one request on standard input', [
    ['systemctl status vigie-logs.socket', 'where requests come from'],
  ]).action(async () => {
    const { provisionLogs } = await import('./logs.ts');
    await provisionLogs();
  });
}

function addHotspot(program: Command): void {
  ownCommand(
    program,
    'hotspot',
    'the box’s own Wi-Fi for a technician’s phone, for 15 minutes; while an order holds, as the room commands',
    [
      [
        'sudo systemctl start vigie-hotspot',
        'as at each start of the box; vigie-hotspot.path starts it for the room',
      ],
    ],
  )
    .addOption(stateOption())
    .addOption(
      new Option('--profile <file>', 'where NetworkManager is given the profile, for as long').default(
        '/run/NetworkManager/system-connections/vigie-hotspot.nmconnection',
      ),
    )
    .action(async (options: HotspotCommandOptions) => {
      const { provisionHotspot } = await import('./network/hotspot-command.ts');
      await provisionHotspot(options);
    });
}

function addEnrolment(program: Command): void {
  const toOption = () => new Option('--to <dir>', 'folder of configuration and keys').default('/etc/vigie');
  const statusOption = () =>
    new Option('--status <file>', 'where it is said how far it is').default(ENROL_STATUS_FILE);
  command(
    program,
    'enrol',
    'make the box’s key and get its certificate from the room, as enrol.json says; retries until it has it',
    [['sudo systemctl start vigie-enrol', 'as at boot']],
  )
    .option('--from <dir>', 'folder on the boot partition, for result.txt', '/boot/firmware/vigie')
    .addOption(toOption())
    .addOption(statusOption())
    .action(async (options: EnrolCommandOptions) => {
      const { provisionEnrol } = await import('./enrolment/enrol-command.ts');
      process.exitCode = await provisionEnrol(options);
    });
  ownCommand(program, 'renew', 'renew the box’s certificate, with a new key, past two thirds of its life', [
    ['sudo vigie-root renew --now', 'whatever its age'],
  ])
    .addOption(toOption())
    .addOption(statusOption())
    .option('--now', 'do not wait until it is due')
    .option('--ordered', 'nor where the room has commanded it (renew-certificate)')
    .addOption(stateOption())
    .action(async (options: RenewCommandOptions) => {
      const { provisionRenew } = await import('./enrolment/enrol-command.ts');
      process.exitCode = await provisionRenew(options);
    });
  command(program, 'certificates', 'finish an installation of key and certificate that was cut off', [
    ['sudo systemctl start vigie-certificates', 'as before each start of the agent'],
  ])
    .addOption(toOption())
    .action(async (options: { to: string }) => {
      const { provisionCertificates } = await import('./enrolment/enrol-command.ts');
      provisionCertificates(options);
    });
}

/** Defines a command that reads root's own files. */
function ownCommand(...words: Parameters<typeof command>) {
  return command(...words)
    .addOption(configOption().default(DEFAULT_CONFIG))
    .option('--folder <dir>', 'root’s folder, which vision and the agent read', ROOT_RECORD_DIR);
}

function addRestraint(program: Command): void {
  ownCommand(
    program,
    'restraint-folder',
    'tell vision which box it is, what must be black and whose orders count',
    [['sudo systemctl restart vigie-camera-address', 'as at each start of the agent']],
  ).action(async (options: OwnOptions) => {
    const { provisionRestraintFolder } = await import('./restraint.ts');
    provisionRestraintFolder(options);
  });
  ownCommand(
    program,
    'restraint-record',
    'record what the agent may not undo: one request on standard input',
    [['systemctl status vigie-restraint.socket', 'where requests come from']],
  ).action(async (options: OwnOptions) => {
    const { provisionRestraintRecord } = await import('./restraint.ts');
    await provisionRestraintRecord(options);
  });
  ownCommand(
    program,
    'pin',
    'confirm the present state of the box: authority’s key of the configuration, masks, clock, journal',
    [
      [
        'sudo vigie-root pin',
        'after the authority has changed its key, or the journal was lost; the journal tells it',
      ],
    ],
  )
    .addOption(stateOption())
    .action(async (options: OwnOptions) => {
      const { provisionPin } = await import('./pin.ts');
      provisionPin(options);
    });
}
