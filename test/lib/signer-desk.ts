/** A desk that signs questions to the boxes of a room: its settings and key as files, and the signer program. */
import { writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import type { Test } from 'tap';
import type { Signer } from './commands.ts';
import { scratch } from './paths.ts';
import { type Program, roomProgram, start } from './program.ts';
import { pairOf, type Room, SITE, waitUntil } from './room.ts';

export interface Desk {
  /** Folder of `room.yaml` and `desk.pem`. */
  readonly dir: string;
  /** Options that name both files. */
  readonly args: readonly string[];
}

export function writeKey(file: string, { privateKey }: Signer): void {
  writeFileSync(file, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
}

/** Writes the files of a desk that connects to the room's broker; `change` adds settings. */
export async function deskOf(t: Test, room: Room, signer: Signer, change: object = {}): Promise<Desk> {
  const dir = scratch(t);
  const [settings, key] = [join(dir, 'room.yaml'), join(dir, 'desk.pem')];
  writeKey(key, signer);
  const pair = await pairOf(room, 'desk.room');
  const mqtt = { url: pair.url, ca: room.authority.ca, cert: pair.cert, key: pair.key };
  writeFileSync(settings, JSON.stringify({ site: SITE, mqtt, ...change }));
  return { dir, args: ['--room', settings, '--sign', key] };
}

/** The signer program of a desk; sealed stills go to the desk's folder. */
export class DeskSigner {
  readonly socket: string;
  readonly #t: Test;
  readonly #args: readonly string[];
  readonly #programs: Program[] = [];

  constructor(t: Test, { dir, args }: Desk, timeoutS: number) {
    this.socket = join(dir, 'signer.sock');
    this.#t = t;
    this.#args = [...args, '--socket', this.socket, '--sealed', dir, '--timeout', String(timeoutS)];
  }

  /** Starts the program; ended with the test. */
  run(...options: string[]): Program {
    const program = start(this.#t, process.execPath, [roomProgram('signer'), ...this.#args, ...options]);
    this.#programs.push(program);
    return program;
  }

  /** Everything that its programs have written. */
  get output(): string {
    return this.#programs.map(({ out, err }) => out + err).join('');
  }

  /** Starts the program, and resolves when it listens. */
  async ready(): Promise<Program> {
    const program = this.run();
    const hasBegun = (): boolean => program.out.includes('Signer for') || program.code !== undefined;
    await waitUntil(this.#t, 'the signer listens', hasBegun);
    this.#t.match(program.out, `Signer for ${SITE} on ${this.socket}`, program.err);
    return program;
  }

  /** Status and body of its answer to a request that the console would not send. */
  ask(path: string, body: string, method = 'POST'): Promise<string> {
    return new Promise((resolve, reject) => {
      const asking = request({ socketPath: this.socket, method, path }, (response) => {
        let text = `${response.statusCode} `;
        response.on('data', (chunk: Buffer) => (text += chunk.toString())).on('end', () => resolve(text));
      });
      asking.on('error', reject).end(body);
    });
  }
}
