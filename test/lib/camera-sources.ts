/**
 * Draws random RTSP sources, with the parts that an authorisation must distinguish and the parts that must stay secret.
 */
import fc from 'fast-check';

export interface DrawnSource {
  readonly source: string;
  /** Host, port, path, query and pinned value, without login keys. */
  readonly place: readonly unknown[];
  /** Texts of the login. */
  readonly secrets: readonly string[];
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
}

/** Few hosts, so that two sources often differ in one part only. */
const HOSTS = ['10.0.0.9', '10.0.0.7', 'camera.lan', 'cam_2.example', '[fd00::20]'];
const PATHS = [
  '/',
  '/main',
  '/sub',
  '/cam/realmonitor',
  '//main',
  '/h%C3%A9/1',
  '/ch=1&stream=0.sdp',
  '/a:b;x=2',
];
const QUERIES = ['', '?channel=1', '?channel=2', '?subtype=0&channel=1', '?real_stream', '?profile=P%20a'];
const SECRET = fc
  .string({
    unit: fc.constantFrom('a', 'Z', '7', '@', '/', '#', '?', ':', '%', '&', '=', ' ', 'é', '\\', "'"),
  })
  .map((text) => `hidden${text}`);
const LOGIN_KEYS = ['user', 'password', 'pwd'];
const PIN_KEYS = ['token', 'access_token', 'auth', 'secret'];

export function camerasDrawn(): fc.Arbitrary<DrawnSource> {
  return fc
    .record({
      host: fc.constantFrom(...HOSTS),
      port: fc.constantFrom(undefined, 554, 8554),
      path: fc.constantFrom(...PATHS),
      query: fc.constantFrom(...QUERIES),
      login: fc.option(fc.tuple(SECRET, SECRET), { nil: undefined }),
      key: fc.option(
        fc.tuple(
          fc.constantFrom(...LOGIN_KEYS, ...PIN_KEYS),
          fc.constantFrom('hidden1', 'hidden_x.y', 'hidden%20'),
        ),
        {
          nil: undefined,
        },
      ),
      inPath: fc.boolean(),
    })
    .map(({ host, port, path, query, login, key, inPath }) => {
      const front = login === undefined ? '' : `${login.map(encodeURIComponent).join(':')}@`;
      const at = `${front}${host}${port === undefined ? '' : `:${port}`}`;
      const piece = key === undefined ? '' : key.join('=');
      const ownPath = piece !== '' && inPath ? pathWith(path, piece) : path;
      const ownQuery = piece !== '' && !inPath ? `${query === '' ? '?' : `${query}&`}${piece}` : query;
      const [user = '', password = ''] = login ?? [];
      return {
        source: `rtsp://${at}${ownPath}${ownQuery}`,
        place: [
          host,
          port ?? 554,
          path,
          query,
          ...(PIN_KEYS.includes(key?.[0] ?? '') ? [piece, inPath] : []),
        ],
        secrets: [user, password, key?.[1] ?? ''].filter((text) => text !== ''),
        host: host.replace(/^\[|\]$/g, ''),
        port: port ?? 554,
        user,
        password,
      };
    });
}

/** Returns the path with the login before the content of its last segment, the form that cheap cameras take. */
function pathWith(path: string, piece: string): string {
  const [, folder = '', last = ''] = /^(.*\/)([^/]*)$/.exec(path) ?? [];
  return `${folder}${piece}${last === '' ? '' : `&${last}`}`;
}
