/**
 * Stores what a provider compiles for one model, size and library, in vision's own folder. TensorRT takes minutes for
 * its engine, so that is built while the model runs on another provider (library-loader.ts).
 *
 * INVARIANTS: the stamp says that the engine has run. It is removed before the engine is opened and written again
 * afterwards, so an engine that fails or ends vision is built again.
 * LIMITS: one folder; those of other models, sizes and libraries are deleted.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AgentError, messageOf } from '../../base/errors.ts';

const FOLDER = 'engines';
const STAMP = 'ran';

export class EngineFolder {
  readonly dir: string;

  private constructor(dir: string) {
    this.dir = dir;
  }

  /**
   * Makes the folder for `identity`, in vision's own folder.
   * @throws AgentError `unavailable` if it cannot be made
   */
  static open(keptDir: string, identity: string): EngineFolder {
    const name = createHash('sha256').update(identity).digest('hex').slice(0, 32);
    const all = join(keptDir, FOLDER);
    try {
      mkdirSync(join(all, name), { recursive: true, mode: 0o700 });
      for (const other of readdirSync(all))
        if (other !== name) rmSync(join(all, other), { recursive: true, force: true });
    } catch (error) {
      throw new AgentError('unavailable', `the folder ${all} cannot be used: ${messageOf(error)}`, error);
    }
    return new EngineFolder(join(all, name));
  }

  /** Removes the stamp, before the engine is opened; true if there was one. */
  takeStamp(): boolean {
    const file = join(this.dir, STAMP);
    const wasBuilt = existsSync(file);
    rmSync(file, { force: true });
    return wasBuilt;
  }

  /** Writes the stamp, when the engine has run. */
  stamp(): void {
    writeFileSync(join(this.dir, STAMP), '', { mode: 0o600 });
  }
}
