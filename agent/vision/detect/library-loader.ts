/**
 * The backend `onnxruntime-library`: an installed ONNX Runtime runs `detector.model` on the first provider that works,
 * guarded (guarded-loader.ts). While the library cannot run, npm's runs the model on the CPU, in another vision.
 *
 * INVARIANTS:
 * - The library is one of contract/onnxruntime-library.ts that only root can have written (library-file.ts).
 * - The loaded model is its card's, by SHA-256.
 * LIMITS: OPEN_WITHIN_MS to load.
 */
import { statSync } from 'node:fs';
import { AgentError, messageOf } from '../../base/errors.ts';
import { findLibrary } from '../../base/library-file.ts';
import { printable } from '../../base/printable.ts';
import type { DetectorConfig } from '../../contract/config.ts';
import { isLibraryProvider, LIBRARY_FOLDERS, LIBRARY_PROVIDERS } from '../../contract/onnxruntime-library.ts';
import { readModel } from './card.ts';
import { GuardedLoader, type PreparedBackend } from './guarded-loader.ts';
import { keepModel } from './kept-model.ts';
import { broken, LibraryBackend } from './library-backend.ts';
import { EngineFolder } from './library-engine.ts';
import type { LoadOptions } from './loading.ts';
import { LibraryRuntime } from './onnxruntime-library.ts';
import { type OpenedSession, openFirst, readModelCard, type ToOpen } from './providers.ts';
import { RuntimeLoader } from './runtime-loader.ts';
import { checkTelemetry } from './telemetry.ts';
import { within } from './within.ts';

/** Time limit for opening, in ms, as for an element (gstreamer.ts). An engine is built outside it. */
const OPEN_WITHIN_MS = 45_000;

export class LibraryLoader extends GuardedLoader {
  constructor(options: LoadOptions) {
    const { config, modelDir, keptDir, clock, log } = options;
    const onCpu: DetectorConfig = { ...config, providers: ['cpu'] };
    super(options, {
      noun: 'library',
      fallback: new RuntimeLoader({ config: onCpu, modelDir, keptDir, clock, log }),
      prepare: () => prepareLibrary(options),
    });
  }
}

/** @throws AgentError `config` or `corrupt` */
async function prepareLibrary(options: LoadOptions): Promise<PreparedBackend> {
  const { config, modelDir, keptDir, log } = options;
  checkTelemetry();
  const foreign = config.providers.find((name) => !isLibraryProvider(name));
  if (foreign !== undefined) {
    const names = Object.keys(LIBRARY_PROVIDERS).join(', ');
    throw new AgentError('config', `detector.providers: ${foreign} is none of ${names}`);
  }
  const path = findLibrary(options.libraryFolders ?? LIBRARY_FOLDERS);
  const card = await readModelCard(config, modelDir);
  const bytes = await readModel(modelDir, card);
  const { size, mtimeMs } = statSync(path);
  const library = `${path} (${size} bytes of ${new Date(mtimeMs).toISOString()})`;
  const model = `${card.name} (SHA-256 ${card.sha256})`;
  const identity = [library, model, config.input.join('x'), ...config.providers].join(', ').slice(0, 1000);
  return {
    card,
    identity,
    async open() {
      const toOpen = { config, card, bytes, log };
      const opening = openLibrary(path, toOpen, options, engineFolder(options, identity));
      const answer = await within(options.clock, OPEN_WITHIN_MS, opening);
      if (answer === undefined) throw broken(path, `does not start within ${OPEN_WITHIN_MS / 1000} s`);
      if (keptDir !== undefined)
        await keepModel(keptDir, card, bytes).catch((error) => log.warn({}, messageOf(error)));
      return answer.result;
    },
  };
}

type OpenedLibrary = Awaited<ReturnType<PreparedBackend['open']>>;

async function openLibrary(
  path: string,
  toOpen: ToOpen,
  options: LoadOptions,
  folder: EngineFolder | undefined,
): Promise<OpenedLibrary> {
  let runtime: LibraryRuntime;
  try {
    runtime = await LibraryRuntime.load(path, folder?.dir ?? '');
  } catch (error) {
    throw broken(path, `does not load: ${printable(messageOf(error), 300)}`, error);
  }
  let toBuild: string | undefined;
  const refusalOf = (provider: string): string | undefined => {
    if (!runtime.has(provider)) return `the library was built without it, with ${runtime.providerNames}`;
    if (folder === undefined || !buildsEngine(provider) || folder.takeStamp()) return undefined;
    toBuild = provider;
    return 'its engine is built first, which takes minutes; vision restarts when it is ready';
  };
  let first: OpenedSession;
  try {
    first = await openFirst(runtime, toOpen, refusalOf);
  } catch (error) {
    throw broken(path, `fails: ${printable(messageOf(error), 300)}`, error);
  }
  const { backend: session, provider, fallback } = first;
  if (buildsEngine(provider)) folder?.stamp();
  const backend = new LibraryBackend({ path, toOpen, runtime, clock: options.clock, session });
  if (folder !== undefined && toBuild !== undefined) backend.build(toBuild, folder);
  return { backend, provider, fallback, library: runtime.description };
}

function buildsEngine(provider: string): boolean {
  return isLibraryProvider(provider) && LIBRARY_PROVIDERS[provider].buildsEngine;
}

/** Returns the folder for compiled engines; without one, none is kept. */
function engineFolder({ keptDir, log }: LoadOptions, identity: string): EngineFolder | undefined {
  if (keptDir === undefined) return undefined;
  try {
    return EngineFolder.open(keptDir, identity);
  } catch (error) {
    log.warn({}, messageOf(error));
    return undefined;
  }
}
