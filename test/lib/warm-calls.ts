/** Thread of warm-program.ts: evaluates a program's main module once for each call, and returns what it printed. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { type MessagePort, workerData } from 'node:worker_threads';
import type { Call, Output } from './warm-program.ts';

/** A call and its output; `code` is set by an exit before the end. */
interface Running {
  readonly texts: { out: string; err: string };
  isOver: boolean;
  code: number | undefined;
  readonly onExit: () => void;
}

const { main, port } = workerData as { main: string; port: MessagePort };
/** The call to which a callback belongs, so that a late timer of an ended call does nothing to the next one. */
const calls = new AsyncLocalStorage<Running>();
const originalEnv = { ...process.env };
let count = 0;

function keep(stream: NodeJS.WriteStream, name: 'out' | 'err'): void {
  stream.write = (chunk: string | Uint8Array, ...rest: unknown[]): boolean => {
    const call = calls.getStore();
    const text = typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString();
    if (call !== undefined && !call.isOver) call.texts[name] += text;
    const callback = rest.at(-1);
    if (typeof callback === 'function') queueMicrotask(() => (callback as () => void)());
    return true;
  };
}

keep(process.stdout, 'out');
keep(process.stderr, 'err');

/** Ends the current call. Later output of its code is dropped. */
process.exit = ((code?: number) => {
  const call = calls.getStore();
  if (call !== undefined && !call.isOver) {
    call.isOver = true;
    call.code = code ?? Number(process.exitCode ?? 0);
    call.onExit();
  }
  throw new Error('ended by process.exit');
}) as typeof process.exit;

async function answer({ args, env }: Call): Promise<Output> {
  process.argv = [process.execPath, main, ...args];
  for (const name of Object.keys(process.env)) Reflect.deleteProperty(process.env, name);
  Object.assign(process.env, env ?? originalEnv);
  process.exitCode = undefined;
  const texts = { out: '', err: '' };
  let call: Running | undefined;
  await new Promise<void>((resolve, reject) => {
    const running: Running = { texts, isOver: false, code: undefined, onExit: resolve };
    call = running;
    count += 1;
    const work = calls.run(running, () => import(`${main}?call=${count}`) as Promise<unknown>);
    work.then(
      () => resolve(),
      (error: unknown) => (running.isOver ? resolve() : reject(error as Error)),
    );
  });
  const code = call?.code ?? Number(process.exitCode ?? 0);
  if (call !== undefined) call.isOver = true;
  process.exitCode = undefined;
  for (const name of ['SIGINT', 'SIGTERM']) process.removeAllListeners(name);
  for (const stream of [process.stdout, process.stderr]) stream.removeAllListeners('error');
  return { code, ...texts };
}

// An exit by a late timer of an ended call has no one to catch it.
process.on('uncaughtException', (error) => {
  if (error.message !== 'ended by process.exit') throw error;
});

port.on('message', (call: Call) => {
  void answer(call)
    .catch((error: unknown): Output => ({ code: 1, out: '', err: String(error) }))
    .then((output) => {
      port.postMessage(output);
      Atomics.store(call.signal, 0, 1);
      Atomics.notify(call.signal, 0);
    });
});
