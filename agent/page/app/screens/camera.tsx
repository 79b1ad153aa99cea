/** Camera screen: shows the configured camera, finds cameras in the network, and takes an address by hand. */
import { useSignal } from '@preact/signals';
import { configuredStream, parseCameraSource, shownSource } from '../../../contract/camera-address.ts';
import type { CameraStreams, FoundCamera } from '../../../contract/page-api.ts';
import { Button, Check, Field, Notice } from '../../../kit/controls.tsx';
import { ask } from '../api.ts';
import { chooseCamera, problems, secondStream, source } from '../draft.ts';
import { Detail } from '../parts/detail.tsx';
import { mayName } from '../problems.ts';
import { agent, attempt, authorisation, config, page } from '../store.ts';
import { number, words } from '../words/words.ts';

/** Source kinds for real use; clips and test pictures are for a bench. */
const KINDS: readonly string[] = ['rtsp', 'v4l2', 'libcamera'];

export function CameraScreen() {
  const { camera } = words.value;
  const installed = config.value?.installed;
  return (
    <>
      <p>{camera.intro}</p>
      <dl>
        <dt>{camera.installed}</dt>
        <dd id="installed-camera">{installed?.cameraAddress || camera.none}</dd>
        {installed?.substreamAddress !== undefined && (
          <>
            <dt>{camera.second}</dt>
            <dd id="installed-second">{installed.substreamAddress}</dd>
          </>
        )}
      </dl>
      <Health />
      <ChosenCamera />
      <Finder />
      <ByHand />
    </>
  );
}

function Health() {
  const { camera, agentUnavailable, configUnavailable } = words.value;
  const state = agent.value;
  const { agentReason, configReason } = page.value ?? {};
  const fps = state?.status.analysedFps ?? 0;
  return (
    <>
      {state === null ? (
        <Notice tone="bad">
          {agentUnavailable}
          <Detail text={agentReason} />
        </Notice>
      ) : fps > 0 ? (
        <Notice tone="good">{camera.seeing(number(fps, 1))}</Notice>
      ) : (
        <Notice tone="bad">
          {camera.blind}
          <Detail text={state.status.report.camera.reason ?? state.reason} />
        </Notice>
      )}
      {config.value === null && (
        <Notice tone="bad">
          {configUnavailable}
          <Detail text={configReason} />
        </Notice>
      )}
    </>
  );
}

function ChosenCamera() {
  const { camera, problems: texts } = words.value;
  if (source.value === undefined) return null;
  const against = problems.value.find(({ about }) => about === 'camera');
  const isPinned = (configuredStream(source.value)?.pins.length ?? 0) > 0;
  return (
    <section id="chosen-camera">
      <h2>{camera.selection}</h2>
      <p class="address">{shownSource(source.value)}</p>
      {against !== undefined ? (
        <Notice tone="bad">{texts[against.code]}</Notice>
      ) : (
        authorisation.value !== null && (
          <Notice tone="good">{isPinned ? camera.pinnedNote : camera.authorisedNote}</Notice>
        )
      )}
      <Second />
      <p>{camera.later}</p>
      <Button onClick={() => chooseCamera(undefined)}>{camera.forget}</Button>
    </section>
  );
}

/**
 * Choice of the second stream. If the authorisation does not name it, nothing is blocked, and the box does without it.
 */
function Second() {
  const { camera } = words.value;
  const second = secondStream.value;
  if (second === undefined) return null;
  const isNamed = authorisation.value === null || mayName(authorisation.value, second.address);
  return (
    <div id="second-stream">
      <Check
        label={camera.secondUse}
        checked={second.isTaken}
        onCheck={(isTaken) => {
          secondStream.value = { ...second, isTaken };
        }}
      />
      <p class="address">{shownSource(second.address)}</p>
      {second.isTaken && !isNamed && <Notice tone="warn">{camera.secondUnnamed}</Notice>}
    </div>
  );
}

function Finder() {
  const { camera } = words.value;
  const foundCameras = useSignal<readonly FoundCamera[] | undefined>(undefined);
  const busy = useSignal(false);
  const picked = useSignal<FoundCamera | undefined>(undefined);
  const user = useSignal('');
  const password = useSignal('');
  const find = async (): Promise<void> => {
    busy.value = true;
    await attempt(async () => {
      const { cameras } = await ask<{ cameras: FoundCamera[] }>('POST', '/api/cameras', {});
      foundCameras.value = cameras;
    });
    busy.value = false;
  };
  const use = async (address: string): Promise<void> => {
    busy.value = true;
    await attempt(async () => {
      const body = { address, user: user.value, password: password.value };
      chooseCamera(await ask<CameraStreams>('POST', '/api/cameras/stream', body));
      picked.value = undefined;
      password.value = '';
    });
    busy.value = false;
  };
  return (
    <section>
      <h2>{camera.find}</h2>
      <Button id="find-cameras" disabled={busy.value} onClick={() => void find()}>
        {busy.value ? camera.finding : camera.find}
      </Button>
      <p role="status">
        {foundCameras.value === undefined ? '' : camera.foundCount(foundCameras.value.length)}
      </p>
      {foundCameras.value?.map((one) => (
        <Button
          key={one.address}
          aria-pressed={picked.value?.address === one.address}
          onClick={() => {
            picked.value = one;
          }}
        >
          {camera.use(`${one.name} (${one.address})`)}
        </Button>
      ))}
      {picked.value !== undefined && (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            void use(picked.value?.address ?? '');
          }}
        >
          <Login user={user} password={password} />
          <Button type="submit" tone="main" id="ask-camera" disabled={busy.value}>
            {camera.ask}
          </Button>
        </form>
      )}
    </section>
  );
}

interface LoginProps {
  readonly user: { value: string };
  readonly password: { value: string };
}

function Login({ user, password }: LoginProps) {
  const { camera } = words.value;
  return (
    <>
      <Field
        label={camera.user}
        value={user.value}
        autocomplete="off"
        autocapitalize="none"
        maxLength={100}
        onText={(text) => {
          user.value = text;
        }}
      />
      <Field
        label={camera.password}
        type="password"
        value={password.value}
        autocomplete="off"
        maxLength={100}
        onText={(text) => {
          password.value = text;
        }}
      />
    </>
  );
}

function ByHand() {
  const { camera } = words.value;
  const address = useSignal('');
  const user = useSignal('');
  const password = useSignal('');
  const isInvalid = useSignal(false);
  const take = (event: Event): void => {
    event.preventDefault();
    const text = withLogin(address.value.trim(), user.value, password.value);
    const parsed = parseCameraSource(text);
    isInvalid.value = 'fault' in parsed || !KINDS.includes(parsed.kind);
    if (isInvalid.value) return;
    chooseCamera({ source: text });
    password.value = '';
  };
  return (
    <section>
      <h2>{camera.byHand}</h2>
      <form onSubmit={take}>
        <Field
          label={camera.address}
          hint={camera.addressHint}
          problem={isInvalid.value ? camera.addressProblem : undefined}
          name="address"
          value={address.value}
          autocomplete="off"
          autocapitalize="none"
          spellcheck={false}
          inputMode="url"
          maxLength={1024}
          onText={(text) => {
            address.value = text;
          }}
        />
        <Login user={user} password={password} />
        <Button type="submit" id="take-address">
          {camera.take}
        </Button>
      </form>
    </section>
  );
}

function withLogin(address: string, user: string, password: string): string {
  if (user === '' || !address.startsWith('rtsp://')) return address;
  const login = `${encodeURIComponent(user)}:${encodeURIComponent(password)}@`;
  return address.replace(/^rtsp:\/\/(?:[^/@]*@)?/, `rtsp://${login}`);
}
