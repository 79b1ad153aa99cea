/** Opens `detector.model` in an ONNX Runtime, on the first of `detector.providers` that works. */
import { AgentError, messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { DetectorConfig } from '../../contract/config.ts';
import { type ModelCard, readCard } from './card.ts';
import { checkInput, mayNameOf } from './loading.ts';
import { type Runtime, Session, type SessionOptions } from './session.ts';

/** @throws AgentError `config` or `corrupt` */
export async function readModelCard(config: DetectorConfig, modelDir: string): Promise<ModelCard> {
  const card = await readCard(modelDir, config.model);
  if (card.decoder !== undefined || !card.file.endsWith('.onnx')) {
    throw new AgentError(
      'config',
      `detector.model ${card.name} is made for an element: it belongs to detector.element.model`,
    );
  }
  checkInput(config, card);
  return card;
}

export interface ToOpen {
  readonly config: DetectorConfig;
  readonly card: ModelCard;
  readonly bytes: Uint8Array;
  readonly log: Logger;
}

export function sessionOptions({ config, card, bytes }: ToOpen, provider: string): SessionOptions {
  const [widthPx, heightPx] = config.input;
  return {
    bytes,
    model: card.name,
    inputName: card.input.name,
    input: { widthPx, heightPx },
    provider,
    features: card.features,
    mayName: mayNameOf(card),
  };
}

export interface OpenedSession {
  readonly backend: Session;
  readonly provider: string;
  readonly fallback: string | null;
}

/** Tries the providers in sequence; the CPU is always the last. `refusalOf` gives a reason not to try one. */
export async function openFirst(
  runtime: Runtime,
  toOpen: ToOpen,
  refusalOf: (provider: string) => string | undefined = () => undefined,
): Promise<OpenedSession> {
  const refusals: string[] = [];
  for (const provider of new Set([...toOpen.config.providers, 'cpu'])) {
    const refusal = refusalOf(provider);
    if (refusal !== undefined) {
      refusals.push(`${provider}: ${refusal}`);
      continue;
    }
    try {
      const backend = await Session.open(runtime, sessionOptions(toOpen, provider));
      const fallback = refusals.length > 0 ? refusals.join('; ').slice(0, 1000) : null;
      if (fallback !== null)
        toOpen.log.warn({ provider }, `detector runs on ${provider} instead: ${fallback}`);
      return { backend, provider, fallback };
    } catch (error) {
      if (provider === 'cpu') throw error;
      refusals.push(`${provider}: ${messageOf(error)}`);
    }
  }
  throw new AgentError('bug', 'no execution provider was tried');
}
