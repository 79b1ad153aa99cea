/**
 * Writes the files by which a vendor's image gets hostname, user and network at its first boot. Nothing of Vigie
 * depends on them: it takes its own files automatically from the folder `vigie`.
 */
import { AgentError } from '../../../agent/base/errors.ts';
import type { BootFile } from './fat.ts';

export const ADAPTERS = ['cloudinit-rpi', 'rpi-preseed', 'none'] as const;
export type Adapter = (typeof ADAPTERS)[number];

export interface Host {
  readonly hostname: string;
  /** Public keys of OpenSSH. If there are none, no one can log in, and sshd stays off. */
  readonly technicians: readonly string[];
  /** Different for each card: cloud-init ignores an instance that it has seen. */
  readonly instance: string;
}

const USER = 'technician';

/** `cmdline` is the image's cmdline.txt, undefined if it has none. @throws AgentError `config` */
export function adapterFiles(adapter: Adapter, host: Host, cmdline: string | undefined): BootFile[] {
  switch (adapter) {
    case 'none':
      return [];
    case 'rpi-preseed':
      return [text('rpi-preseed.toml', preseed(host))];
    case 'cloudinit-rpi': {
      if (cmdline === undefined) {
        const message =
          '--adapter cloudinit-rpi: the image is not a Raspberry Pi OS (no cmdline.txt); use --adapter none';
        throw new AgentError('config', message);
      }
      return [
        text('user-data', userData(host)),
        text('meta-data', `instance-id: ${host.instance}\nlocal-hostname: ${host.hostname}\n`),
        text('network-config', NETWORK),
        text('cmdline.txt', withInstance(cmdline, host.instance)),
      ];
    }
  }
}

/**
 * Sets source and instance on the kernel's command line, one line with each word once (cloud-init documentation,
 * "NoCloud").
 */
function withInstance(cmdline: string, instance: string): string {
  const words = cmdline.split(/\s+/).filter((word) => word !== '' && !/^ds=nocloud/.test(word));
  return `${[...words, `ds=nocloud;i=${instance}`].join(' ')}\n`;
}

/**
 * Follows the cloud-init documentation, "Users and Groups"; enable_ssh is of Raspberry Pi OS's own module. JSON is
 * YAML.
 */
function userData({ hostname, technicians }: Host): string {
  const may = technicians.length > 0;
  const user = {
    name: USER,
    groups: ['adm', 'sudo', 'video'],
    shell: '/bin/bash',
    lock_passwd: true,
    sudo: ['ALL=(ALL) NOPASSWD:ALL'],
    ssh_authorized_keys: technicians,
  };
  const content = {
    hostname,
    manage_etc_hosts: true,
    ssh_pwauth: false,
    users: may ? [user] : [],
    ...(may && { enable_ssh: true }),
  };
  return `#cloud-config\n${JSON.stringify(content, null, 2)}\n`;
}

/** Any wired port by DHCP; a box without one must not wait for it. */
const NETWORK = `network:
  version: 2
  ethernets:
    wired:
      match: { name: "e*" }
      dhcp4: true
      optional: true
`;

/**
 * Follows rpi-preseed.toml(5), config_version 1. The image's own user is renamed. `*` is not a hash of any password, so
 * no one can log in by password. Strings of JSON are basic strings of TOML.
 */
function preseed({ hostname, technicians }: Host): string {
  const lines = [
    'config_version = "1.0"',
    '[system]',
    `hostname = ${JSON.stringify(hostname)}`,
    '[user]',
    `name = "${USER}"`,
    'password = "*"',
    'password_encrypted = true',
    `passwordless_sudo = ${technicians.length > 0}`,
    '[ssh]',
    `enabled = ${technicians.length > 0}`,
    'password_authentication = false',
    ...(technicians.length > 0 ? [`authorized_keys = ${JSON.stringify(technicians)}`] : []),
  ];
  return `${lines.join('\n')}\n`;
}

function text(path: string, content: string): BootFile {
  return { path, content: Buffer.from(content) };
}
