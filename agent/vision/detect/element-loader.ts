/**
 * Loads `detector.element`, a GStreamer element with its own model, guarded (guarded-loader.ts): while it cannot run,
 * `detector.model` runs on the CPU. Beside it, `detector.model` gives features and analyses larger pictures.
 *
 * INVARIANTS: the loaded model is its card's, by SHA-256.
 */
import { join } from 'node:path';
import { AgentError } from '../../base/errors.ts';
import type { ElementConfig } from '../../contract/config.ts';
import { INFERENCE_ELEMENTS } from '../../contract/inference-element.ts';
import { type ModelCard, readCard, readModel } from './card.ts';
import { checkDevice } from './element-device.ts';
import { type ElementOptions, InferenceElementBackend } from './gstreamer.ts';
import { GuardedLoader, type PreparedBackend } from './guarded-loader.ts';
import { checkInput, type LoadOptions, mayNameOf } from './loading.ts';
import { RuntimeLoader } from './runtime-loader.ts';

export class ElementLoader extends GuardedLoader {
  constructor(options: LoadOptions) {
    super(options, {
      noun: 'element',
      fallback: new RuntimeLoader(options),
      // Two ONNX Runtimes in one process abort.
      runsBeside: !bringsRuntime(options.config.element),
      prepare: () => prepareElement(options, options.config.element),
    });
  }
}

function bringsRuntime(element: ElementConfig | undefined): boolean {
  return element !== undefined && INFERENCE_ELEMENTS[element.name]?.bringsOnnxRuntime === true;
}

/** @throws AgentError `config` or `corrupt` */
async function prepareElement(
  { config, modelDir, clock }: LoadOptions,
  element: ElementConfig | undefined,
): Promise<PreparedBackend> {
  const knownElement = element && INFERENCE_ELEMENTS[element.name];
  if (element === undefined || knownElement === undefined) {
    const names = Object.keys(INFERENCE_ELEMENTS).join(', ');
    throw new AgentError(
      'config',
      `detector.backend is ${config.backend}: detector.element must name its element, one of ${names}`,
    );
  }
  const card = await readCard(modelDir, element.model);
  if (!card.file.endsWith(knownElement.modelFile)) {
    throw new AgentError(
      'config',
      `detector.element.model ${card.name} is the file ${card.file}; ${element.name} takes ${knownElement.modelFile}`,
    );
  }
  if ((card.hailo === undefined) === (knownElement.modelFile === '.hef')) {
    const problem =
      card.hailo === undefined
        ? `has no section "hailo", which ${element.name} needs; write its card with \`scripts/model import\``
        : `has a section "hailo", which ${element.name} does not use; choose the model made for it`;
    throw new AgentError('corrupt', `model card ${card.name}: ${problem}`);
  }
  checkInput(config, card);
  await readModel(modelDir, card);
  await checkDevice(element.name, clock);
  const [widthPx, heightPx] = config.input;
  const options = {
    clock,
    element,
    file: join(modelDir, card.file),
    model: card.name,
    input: { widthPx, heightPx },
    decoder: card.decoder,
    hailo: card.hailo,
    scoreMin: card.inGraph.scoreMin,
    mayName: mayNameOf(card),
  };
  return {
    card,
    identity: whatRuns(card, options),
    async open() {
      const backend = await InferenceElementBackend.open(options);
      return { backend, provider: element.name, fallback: null };
    },
  };
}

/** Returns the identity for the note on past failures; another model under the same name has another identity. */
function whatRuns(card: ModelCard, { element, input }: ElementOptions): string {
  const model = `${card.name} (SHA-256 ${card.sha256})`;
  return [element.name, model, `${input.widthPx}x${input.heightPx}`, ...element.properties]
    .join(', ')
    .slice(0, 1000);
}
