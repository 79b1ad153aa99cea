/** Tests warnings about settings that are allowed but cannot work as intended, with model cards made by the test. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { inspectText } from '../../agent/config/load.ts';
import { findWarnings } from '../../agent/config/warnings.ts';
import type { Config } from '../../agent/contract/config.ts';
import { scratch } from '../lib/paths.ts';

void t.test('a model with one input size gives a warning where another size is configured', async (t) => {
  const dir = scratch(t);
  writeFileSync(join(dir, 'one.json'), '{"input": {"fixed": true, "default": [416, 256]}}');
  writeFileSync(join(dir, 'any.json'), '{"input": {"default": [416, 256]}}');
  const config = (detector: string): Config => {
    const { config } = inspectText(`site: lab\nbox: lab-1\ndetector: ${detector}\n`, {
      env: {},
      mode: 'replay',
    });
    t.ok(config, detector);
    return config as Config;
  };
  const messagesFor = (model: string, detector: Partial<Config['detector']>): string[] => {
    const base = config('{ input: [640, 384] }');
    const changedConfig = { ...base, detector: { ...base.detector, model, ...detector } };
    return findWarnings(changedConfig, undefined, dir).map(({ message }) => message);
  };
  t.same(messagesFor('any', {}), []);
  t.same(messagesFor('none', {}), [], 'a missing card is reported elsewhere');
  t.same(messagesFor('one', {}), ['model one takes [416, 256] only: the detector does not start']);
  t.same(messagesFor('one', { input: [416, 256] }), []);
  const element = { name: 'onnxinference', model: 'one', properties: [] };
  t.same(messagesFor('any', { backend: 'gstreamer', element }), [
    'model one takes [416, 256] only: it runs on the CPU, not on onnxinference',
  ]);
  t.same(messagesFor('any', { element }), [], 'which is not used');
});
