/**
 * Proves that the parser of `camera.source` reads the same host, port and login as GStreamer's and WHATWG's parsers.
 */
import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import t from 'tap';
import { parseCameraSource } from '../../agent/contract/camera-address.ts';
import { sourceOf } from '../../agent/vision/camera/source.ts';
import { camerasDrawn } from '../lib/camera-sources.ts';
import { SEED } from '../lib/random.ts';

/**
 * Reads a JSON list of locations; prints for each where GStreamer's rtspsrc would connect to, and what it would
 * request.
 */
const GSTREAMER = `
import gi, json, sys
gi.require_version('GstRtsp', '1.0')
from gi.repository import GstRtsp
rows = []
for text in json.load(sys.stdin):
    result, url = GstRtsp.rtsp_url_parse(text)
    rows.append([url.host, url.get_port()[1], url.user, url.get_request_uri()] if result == 0 else None)
json.dump(rows, sys.stdout)
`;

void t.test('three parsers agree on random sources', async (t) => {
  const cameras = fc.sample(camerasDrawn(), { numRuns: 3000, seed: SEED });
  const locations = await Promise.all(
    cameras.map(async ({ source }) => {
      const { properties } = await sourceOf(source, async (host) => [host]).locate();
      return String(properties['location']);
    }),
  );
  const { stdout, status, stderr } = spawnSync('/usr/bin/python3', ['-c', GSTREAMER], {
    input: JSON.stringify(locations),
    encoding: 'utf8',
    maxBuffer: 64 * 1_048_576,
  });
  t.equal(status, 0, stderr);
  const rows = JSON.parse(stdout) as ([string, number, string | null, string] | null)[];
  const mismatches = cameras.flatMap(({ source, host, port, user, password }, n) => {
    const own = parseCameraSource(source);
    if ('fault' in own || own.kind !== 'rtsp') return [`${source}: refused`];
    const [gstHost, gstPort, gstUser, uri] = rows[n] ?? [];
    const url = new URL(source);
    const readings = {
      own: [own.host, own.port, own.user, own.password],
      expected: [host, port, user, password],
      whatwg: [
        url.hostname.replace(/^\[|\]$/g, ''),
        url.port === '' ? 554 : Number(url.port),
        decodeURIComponent(url.username),
        decodeURIComponent(url.password),
      ],
    };
    const texts = new Set(Object.values(readings).map((value) => JSON.stringify(value)));
    const same =
      gstHost === own.host && gstPort === own.port && gstUser === null && uri?.endsWith(own.target) === true;
    return texts.size === 1 && same ? [] : [JSON.stringify({ source, readings, gstreamer: rows[n] })];
  });
  t.same(mismatches.slice(0, 3), [], `3,000 sources, seed ${SEED}`);
});
