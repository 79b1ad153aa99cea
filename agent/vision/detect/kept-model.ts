/**
 * Stores the model that ran last, beside the program's own. An update or a dying card may damage the installed file.
 * The box then continues with the stored model and reports it, instead of going blind.
 *
 * INVARIANTS:
 * - A card exists only with its complete model: the model is written first, under its hash, and each write is atomic.
 * - A stored model is read, checked and refused by the same rules as any other.
 * LIMITS: one model of each name.
 */
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { writeAtomically } from '../../base/atomic-file.ts';
import { AgentError, messageOf } from '../../base/errors.ts';
import { type ModelCard, readCard, readModel } from './card.ts';

/**
 * Stores a model that has just run, unless it is stored already.
 * @throws AgentError `unavailable` if the folder cannot be written
 */
export async function keepModel(dir: string, card: ModelCard, bytes: Uint8Array): Promise<void> {
  if (await isKeptSound(dir, card)) return;
  const file = `${card.sha256}.onnx`;
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    writeAtomically(join(dir, file), bytes);
    writeAtomically(join(dir, `${card.name}.json`), JSON.stringify({ ...card, file }));
    const filesInUse = await usedFiles(dir);
    for (const other of readdirSync(dir)) {
      if (other.endsWith('.onnx') && !filesInUse.includes(other)) rmSync(join(dir, other));
    }
  } catch (error) {
    throw new AgentError(
      'unavailable',
      `the model cannot be kept in ${dir}: ${messageOf(error)}; it runs all the same`,
      error,
    );
  }
}

/** Reports whether there is a stored model of that name. */
export async function isKept(dir: string, name: string): Promise<boolean> {
  return (await keptCard(dir, name)) !== undefined;
}

/** Checks the stored file, which may have been damaged since. */
async function isKeptSound(dir: string, { name, sha256 }: ModelCard): Promise<boolean> {
  const storedCard = await keptCard(dir, name);
  if (storedCard?.sha256 !== sha256) return false;
  try {
    await readModel(dir, storedCard);
    return true;
  } catch (error) {
    if (error instanceof AgentError) return false;
    throw error;
  }
}

async function usedFiles(dir: string): Promise<string[]> {
  const names = readdirSync(dir)
    .filter((file) => file.endsWith('.json'))
    .map((file) => file.slice(0, -'.json'.length));
  const cards = await Promise.all(names.map((name) => keptCard(dir, name)));
  return cards.flatMap((card) => (card === undefined ? [] : [card.file]));
}

/** Returns the stored card, or undefined if it is missing or unreadable; the next model that runs replaces it. */
async function keptCard(dir: string, name: string): Promise<ModelCard | undefined> {
  try {
    return await readCard(dir, name);
  } catch (error) {
    if (error instanceof AgentError) return undefined;
    throw error;
  }
}
