/**
 * Proves that an installed ONNX Runtime gives the numbers of onnxruntime-node, with Debian's file and npm's. Tests which
 * libraries are refused, and what follows from a library that fails.
 */
import { chmodSync, chownSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import {
  copyUsual,
  inProcess,
  noClip,
  noCompiler,
  type Outcome,
  type Step,
  streetFrames,
} from '../lib/inference-element.ts';
import {
  copyLibrary,
  DEBIAN_FOLDERS,
  DEBIAN_LIBRARY,
  libraryConfig,
  makeFake,
  NPM_LIBRARY,
  noLibrary,
  notRoot,
  rootFolder,
} from '../lib/onnxruntime-libraries.ts';
import { MODEL_DIR, scratch } from '../lib/paths.ts';
import { FULL } from '../lib/run.ts';

t.setTimeout(300_000);

const FRAMES = FULL ? 200 : 60;
const ALL = ['tensorrt', 'cuda', 'openvino', 'cpu'];

interface Run {
  readonly providers?: readonly string[];
  readonly folders?: readonly string[];
  readonly frames?: string;
  readonly steps?: readonly Step[];
  readonly keptDir?: string;
  readonly modelDir?: string;
  readonly plays?: string;
}

async function run(t: Test, { providers, folders, frames, keptDir, modelDir, plays, ...over }: Run) {
  const steps: readonly Step[] = over.steps ?? [{ do: 'load' }];
  const task = {
    config: libraryConfig(providers),
    modelDir: modelDir ?? MODEL_DIR,
    steps,
    ...(folders !== undefined && { libraryFolders: folders }),
    ...(frames !== undefined && { frames }),
    ...(keptDir !== undefined && { keptDir }),
  };
  return inProcess(t, task, { FAKE_ONNXRUNTIME: plays ?? '' });
}

const skip = noLibrary || notRoot;

t.test(
  `Debian’s library and npm’s give the numbers of onnxruntime-node over ${FRAMES} frames of a street`,
  { skip: skip || noClip },
  async (t) => {
    const frames = streetFrames(scratch(t), FRAMES);
    const steps: Step[] = [{ do: 'load' }, { do: 'run all' }, { do: 'run features', frame: FRAMES / 2 }];
    const config = libraryConfig(['cpu'], { backend: 'onnxruntime' });
    const reference = await inProcess(t, { config, modelDir: MODEL_DIR, frames, steps });
    const expected = reference.outcomes[1]?.found ?? [];
    t.equal(expected.length, FRAMES);
    t.ok(reference.outcomes[2]?.features);
    const rows = expected.reduce((sum, { scores }) => sum + scores.length, 0);
    t.ok(rows > 5 * FRAMES, `${rows} rows to compare`);
    const npm = rootFolder(t);
    copyLibrary(npm, NPM_LIBRARY);
    for (const [name, folders, version] of [
      ['Debian', DEBIAN_FOLDERS, /^ONNX Runtime 1\.21\.0 \(\/usr\/lib\/.*, with .*CPU\)$/],
      ['npm', [npm], /^ONNX Runtime 1\.30\.0 \(\/usr\/local\/lib\/.*, with .*CPU.*\)$/],
    ] as const) {
      const { outcomes, endReason } = await run(t, { folders, frames, steps });
      t.equal(endReason, undefined, name);
      t.match(outcomes[0]?.info, { provider: 'cpu', fallback: null, library: version });
      t.strictSame(outcomes[1]?.found, expected, `${name}: equal to the last digit`);
      t.equal(outcomes[2]?.features, reference.outcomes[2]?.features, 'the same features of places');
      const msOf = (one: Outcome | undefined): string => ((one?.ms ?? 0) / FRAMES).toFixed(1);
      t.comment(`${name}: ${msOf(outcomes[1])} ms a frame, onnxruntime-node ${msOf(reference.outcomes[1])}`);
    }
  },
);

t.test('providers that a library lacks are reported, in their order', { skip }, async (t) => {
  const { outcomes } = await run(t, { providers: ALL });
  const [load] = outcomes;
  t.match(load?.info, { provider: 'cpu', model: 'nanodet-g-city10' });
  t.match(
    load?.info?.fallback,
    /^tensorrt: the library was built without it, with .*CPU; cuda: the library .*; openvino: the library [^\n]*$/,
  );
});

t.test('a library that another user could have written is refused in one line', { skip }, async (t) => {
  const makers: Record<string, (dir: string) => readonly [folder: string, message: string]> = {
    'the file belongs to a user': (dir) => {
      chownSync(copyLibrary(dir, DEBIAN_LIBRARY), 65_534, 65_534);
      return [dir, 'libonnxruntime\\.so\\.1 belongs to user 65534, not to root; chown'];
    },
    'the file is writable by its group': (dir) => {
      chmodSync(copyLibrary(dir, DEBIAN_LIBRARY), 0o664);
      return [dir, 'may be written by others than root \\(mode 0664\\); chmod go-w'];
    },
    'its folder is writable by its group': (dir) => {
      copyLibrary(dir, DEBIAN_LIBRARY);
      chmodSync(dir, 0o775);
      return [dir, `${dir} may be written by others than root .*0775`];
    },
    'a folder above it is writable by all': (dir) => {
      const inner = join(dir, 'inner');
      mkdirSync(inner);
      copyLibrary(inner, DEBIAN_LIBRARY);
      chmodSync(dir, 0o1777);
      return [inner, `${dir} may be written by others than root .*1777`];
    },
    'it is a link to a file in the folder of a user': (dir) => {
      const userDir = rootFolder(t);
      copyLibrary(userDir, DEBIAN_LIBRARY);
      chownSync(userDir, 65_534, 65_534);
      symlinkSync(join(userDir, 'libonnxruntime.so.1'), join(dir, 'libonnxruntime.so.1'));
      return [dir, `${userDir} belongs to user 65534`];
    },
    'a library of a provider beside it belongs to a user': (dir) => {
      copyLibrary(dir, DEBIAN_LIBRARY);
      const provider = join(dir, 'libonnxruntime_providers_tensorrt.so');
      writeFileSync(provider, '');
      chownSync(provider, 65_534, 65_534);
      return [dir, 'libonnxruntime_providers_tensorrt\\.so belongs to user 65534'];
    },
    'no folder has a library': (dir) => [dir, '^no libonnxruntime\\.so\\.1 in .*: install one there'],
  };
  for (const [name, make] of Object.entries(makers)) {
    const [folder, message] = make(rootFolder(t));
    const { outcomes } = await run(t, { folders: [folder] });
    t.match(outcomes[0]?.error, { kind: 'config', message: new RegExp(message) }, name);
    t.notMatch(outcomes[0]?.error?.message, /\n/, name);
  }
});

t.test(
  'a file that is not a usable library is reported in one line',
  { skip: skip || noCompiler },
  async (t) => {
    for (const [name, flags, plays, message] of [
      ['an old version', [], 'old', /does not load: it is version 1\.16\.3; 1\.17 or later is needed$/],
      ['no entry', ['-DNO_BASE'], '', /does not load: it is no ONNX Runtime: it has no OrtGetApiBase$/],
    ] as const)
      await t.test(name, async (t) => {
        const dir = rootFolder(t);
        makeFake(dir, flags);
        const { outcomes } = await run(t, { folders: [dir], plays });
        t.match(outcomes[0]?.error, { kind: 'corrupt', message });
      });
    await t.test('no library at all', async (t) => {
      const dir = rootFolder(t);
      writeFileSync(join(dir, 'libonnxruntime.so.1'), 'not a library\n');
      const { outcomes } = await run(t, { folders: [dir] });
      t.match(outcomes[0]?.error, { kind: 'corrupt', message: /does not load: .*(invalid ELF|too short)/ });
    });
  },
);

const FRAME = { do: 'run', frame: 'black' } as const;

t.test(
  'a library that fails is held off, and npm’s runs the model',
  { skip: skip || noCompiler },
  async (t) => {
    const dir = rootFolder(t);
    makeFake(dir);
    for (const [plays, reason] of [
      ['error', /fails on a frame of 416x256: device lost; it is tried again at/],
      ['crash', /vision ended while its library was tried; it is tried again at/],
      ['hang', /has not answered after 5 s; it is tried again at/],
    ] as const)
      await t.test(plays, async (t) => {
        const keptDir = scratch(t);
        const common = { folders: [dir], keptDir, plays };
        const first = await run(t, {
          ...common,
          steps: [{ do: 'load' }, { do: 'run loader', frame: 'black' }],
        });
        if (plays === 'crash') t.equal(first.endReason, 'SIGABRT');
        else t.equal(first.outcomes[1]?.error?.kind, 'corrupt');
        const second = await run(t, { ...common, steps: [{ do: 'load' }, FRAME] });
        t.match(second.outcomes[0]?.info, { provider: 'cpu', fallback: reason });
        t.notOk(second.outcomes[0]?.info?.library, 'npm’s');
        t.ok(second.outcomes[1]?.found, 'it detects');
      });
    await t.test('a missing library holds nothing off', async (t) => {
      const keptDir = scratch(t);
      const missing = await run(t, { folders: [rootFolder(t)], keptDir });
      t.match(missing.outcomes[0]?.info, { provider: 'cpu', fallback: /^no libonnxruntime/ });
      const present = await run(t, { folders: [dir], keptDir });
      t.match(present.outcomes[0]?.info, { provider: 'cpu', fallback: null, library: /1\.21/ });
    });
  },
);

t.test(
  'an engine is built beside the CPU, and used after a restart',
  { skip: skip || noCompiler },
  async (t) => {
    const dir = rootFolder(t);
    makeFake(dir);
    const keptDir = scratch(t);
    const common = { folders: [dir], keptDir, providers: ['tensorrt', 'cpu'] };
    const steps: Step[] = [{ do: 'load' }, FRAME, { do: 'await restart' }, { do: 'end' }];
    const first = await run(t, { ...common, steps, plays: 'tensorrt slow-build' });
    t.match(first.outcomes[0]?.info, { provider: 'cpu', fallback: /^tensorrt: its engine is built first/ });
    t.ok((first.outcomes[1]?.ms ?? Infinity) < 1500, 'it detects meanwhile');
    t.equal(first.outcomes[2]?.error, undefined, 'then it asks for a restart');
    const second = await run(t, {
      ...common,
      steps: [{ do: 'load' }, FRAME, { do: 'end' }],
      plays: 'tensorrt',
    });
    t.match(second.outcomes[0]?.info, { provider: 'tensorrt', fallback: null });
    t.same(second.outcomes[1]?.found, first.outcomes[1]?.found);
    const failing = await run(t, {
      ...common,
      steps: [{ do: 'load' }, { do: 'end' }],
      plays: 'tensorrt build-fails',
    });
    const reason = /^tensorrt: model .* does not load on tensorrt: no kernel image is available$/;
    t.match(failing.outcomes[0]?.info, { provider: 'cpu', fallback: reason });
    const third = await run(t, { ...common, plays: 'tensorrt build-fails' });
    t.match(
      third.outcomes[0]?.info,
      { provider: 'cpu', fallback: /its engine is built first/ },
      'built again',
    );
    const modelDir = scratch(t);
    copyUsual(modelDir);
    const other = await run(t, { ...common, modelDir, providers: ['tensorrt'], plays: 'tensorrt' });
    t.match(
      other.outcomes[0]?.info,
      { fallback: /its engine is built first/ },
      'a changed setting has its own',
    );
  },
);

t.test('an installed ONNX Runtime sends no telemetry', { skip }, async (t) => {
  const npm = rootFolder(t);
  copyLibrary(npm, NPM_LIBRARY);
  for (const [name, folders] of [
    ['Debian', DEBIAN_FOLDERS],
    ['npm', [npm]],
  ] as const)
    await t.test(name, async (t) => {
      const dir = scratch(t);
      const trace = join(dir, 'trace.txt');
      const steps: Step[] = [{ do: 'load' }, FRAME];
      const task = { config: libraryConfig(), modelDir: MODEL_DIR, libraryFolders: folders, steps };
      const wrapper = ['strace', '-f', '-qq', '-e', 'trace=%file,%network', '-o', trace];
      const { outcomes } = await inProcess(t, task, { HOME: dir }, wrapper);
      t.ok(outcomes[1]?.found);
      const calls = readFileSync(trace, 'utf8');
      t.match(calls, /libonnxruntime\.so\.1/, 'the trace saw the library being loaded (control)');
      t.notMatch(calls, /machine-id|\.cache\/Microsoft|AF_INET|resolv\.conf/);
    });
  await t.test('the library is not loaded without the variable', async (t) => {
    const { outcomes } = await inProcess(
      t,
      { config: libraryConfig(), modelDir: MODEL_DIR, steps: [{ do: 'load' }] },
      { ORT_DISABLE_TELEMETRY: '' },
    );
    t.match(outcomes[0]?.error, { kind: 'config', message: /ORT_DISABLE_TELEMETRY=1/ });
  });
});
