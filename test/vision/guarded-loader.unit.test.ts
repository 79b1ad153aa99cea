/** Tests how the loader of foreign code ends, with a backend and a CPU model that are made up. */
import t from 'tap';
import { systemClock } from '../../agent/base/clock.ts';
import { AgentError } from '../../agent/base/errors.ts';
import type { Backend, RawDetections } from '../../agent/vision/detect/backend.ts';
import type { ModelCard } from '../../agent/vision/detect/card.ts';
import { GuardedLoader } from '../../agent/vision/detect/guarded-loader.ts';
import type { Loader } from '../../agent/vision/detect/loading.ts';
import { elementConfig } from '../lib/inference-element.ts';
import { SILENT } from '../lib/outbox.ts';

const CARD = { name: 'made', sha256: '00' } as ModelCard;
const NEVER = new Promise<never>(() => undefined);
const NOTHING: RawDetections = {
  boxes: new Float32Array(),
  scores: new Float32Array(),
  labels: new Int32Array(),
};

/** CPU model whose worker threads are gone, so that nothing that it waits for ends. */
class StuckLoader implements Loader {
  readonly mayTryAgain = false;
  readonly failed = false;
  readonly #backend: Backend = { takesAnySize: true, run: () => NEVER, release: () => NEVER };

  async load() {
    return {
      card: CARD,
      backend: this.#backend,
      info: { model: 'made', sha256: '00', provider: 'cpu', fallback: null },
    };
  }

  run = (): Promise<RawDetections> => NEVER;
  release = (): Promise<void> => NEVER;
}

function loaderWith(element: { failed: boolean }): GuardedLoader {
  const backend = {
    takesAnySize: false,
    get failed() {
      return element.failed;
    },
    async run() {
      if (element.failed) throw new AgentError('corrupt', 'gives no answer within 5 s');
      return NOTHING;
    },
    release: async () => undefined,
  };
  return new GuardedLoader(
    { config: elementConfig('hailonet', 'made'), modelDir: '/', clock: systemClock, log: SILENT },
    {
      noun: 'element',
      fallback: new StuckLoader(),
      runsBeside: true,
      prepare: async () => ({
        card: CARD,
        identity: 'made',
        open: async () => ({ backend, provider: 'hailonet', fallback: null }),
      }),
    },
  );
}

t.test('vision does not wait for the CPU model after a failure of the element', async (t) => {
  const element = { failed: false };
  const loader = loaderWith(element);
  const { cpuModel, info } = await loader.load();
  t.equal(info.provider, 'hailonet');
  t.equal(cpuModel?.card, CARD, 'the CPU model is loaded beside it');
  t.same(await loader.run(new Uint8Array(), {}), NOTHING);
  element.failed = true;
  await t.rejects(loader.run(new Uint8Array(), {}), { message: /no answer/ });
  await loader.release();
  t.ok(loader.failed, 'and is killed next');
});

t.test('a sound end waits for the CPU model, whose runs must not be cut off', async (t) => {
  const loader = loaderWith({ failed: false });
  await loader.load();
  const result = await Promise.race([
    loader.release().then(() => 'ended'),
    systemClock.sleep(100).then(() => 'waits'),
  ]);
  t.equal(result, 'waits');
});
