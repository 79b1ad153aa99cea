/** A small ONVIF camera: WS-Discovery over UDP multicast on the loopback, SOAP over HTTP with WS-UsernameToken. */
import { createHash } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

/** Port of WS-Discovery 1.1, 3.1. */
const PORT = 3702;
const GROUP = '239.255.255.250';
const USER = 'admin';
export const PASSWORD = 'hunter2&<"';

const envelope = (body: string): string =>
  `<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:tds="http://www.onvif.org/ver10/device/wsdl" xmlns:trt="http://www.onvif.org/ver10/media/wsdl" xmlns:tt="http://www.onvif.org/ver10/schema" xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing"><s:Body>${body}</s:Body></s:Envelope>`;

export class OnvifCamera {
  /** Actions of the SOAP requests, in order. */
  readonly actions: string[] = [];
  /** Replies of other devices to a probe. */
  readonly strays: string[] = [];
  /** Address of its stream; the camera reports another address. */
  streamUri = 'rtsp://203.0.113.9:8554/stream1?profile=main';
  /** Further profiles, each with the address of its stream. */
  readonly further: { token: string; encoder: string; streamUri: string }[] = [];
  /** Reply that replaces every other reply. */
  replacement: string | undefined;
  readonly #name: string;
  readonly #server: Server;
  readonly #discovery: Socket;

  constructor(name: string) {
    this.#name = name;
    this.#server = createServer((request, response) => {
      void text(request).then((requestText) => {
        const [status, body] = this.#soap(requestText);
        response.writeHead(status, { 'Content-Type': 'application/soap+xml' }).end(this.replacement ?? body);
      });
    });
    this.#discovery = createSocket({ type: 'udp4', reuseAddr: true });
    this.#discovery.on('message', (message, from) => {
      if (!/Probe/.test(String(message))) return;
      const replies = [...this.strays, this.#match(`http://127.0.0.1:${this.port}/onvif/device_service`)];
      for (const each of replies) this.#discovery.send(each, from.port, from.address);
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async start(): Promise<void> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#discovery.bind(PORT);
    await once(this.#discovery, 'listening');
    this.#discovery.addMembership(GROUP, '127.0.0.1');
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
    this.#discovery.close();
  }

  #match(addresses: string): string {
    return envelope(
      `<d:ProbeMatches><d:ProbeMatch><a:EndpointReference><a:Address>urn:uuid:${this.port}</a:Address></a:EndpointReference><d:Types>dn:NetworkVideoTransmitter</d:Types><d:Scopes>onvif://www.onvif.org/hardware/X1 onvif://www.onvif.org/name/${this.#name}</d:Scopes><d:XAddrs>http://203.0.113.9/onvif ${addresses}</d:XAddrs></d:ProbeMatch></d:ProbeMatches>`,
    );
  }

  #uriIn(request: string): string {
    const token = /<ProfileToken>([^<]*)</.exec(request)?.[1];
    return this.further.find((profile) => profile.token === token)?.streamUri ?? this.streamUri;
  }

  #soap(requestText: string): [number, string] {
    const action = /<(Get\w+)/.exec(requestText)?.[1] ?? '?';
    this.actions.push(action);
    const otherUrl = 'http://203.0.113.9/onvif';
    if (action === 'GetSystemDateAndTime') {
      const now = new Date();
      const [year, month, day] = [now.getUTCFullYear(), now.getUTCMonth() + 1, now.getUTCDate()];
      const time = `<tt:Hour>${now.getUTCHours()}</tt:Hour><tt:Minute>${now.getUTCMinutes()}</tt:Minute><tt:Second>${now.getUTCSeconds()}</tt:Second>`;
      const utc = `<tt:UTCDateTime><tt:Time>${time}</tt:Time><tt:Date><tt:Year>${year}</tt:Year><tt:Month>${month}</tt:Month><tt:Day>${day}</tt:Day></tt:Date></tt:UTCDateTime>`;
      return [
        200,
        envelope(
          `<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime>${utc}</tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>`,
        ),
      ];
    }
    if (!isRight(requestText))
      return [
        400,
        envelope(
          '<s:Fault><s:Code><s:Value>s:Sender</s:Value></s:Code><s:Reason><s:Text xml:lang="en">Sender not authorized</s:Text></s:Reason></s:Fault>',
        ),
      ];
    const answers: Record<string, string> = {
      GetServices: `<tds:Service><tds:Namespace>http://www.onvif.org/ver10/device/wsdl</tds:Namespace><tds:XAddr>${otherUrl}</tds:XAddr></tds:Service><tds:Service><tds:Namespace>http://www.onvif.org/ver10/media/wsdl</tds:Namespace><tds:XAddr>${otherUrl}/media</tds:XAddr><tds:Version><tt:Major>2</tt:Major><tt:Minor>6</tt:Minor></tds:Version></tds:Service>`,
      GetProfiles: [{ token: 'p1', encoder: encoderOf('H264', 1920, 1080) }, ...this.further]
        .map(
          ({ token, encoder }) =>
            `<trt:Profiles token="${token}" fixed="true"><tt:Name>${token}</tt:Name><tt:VideoSourceConfiguration token="vsc"><tt:SourceToken>vs1</tt:SourceToken></tt:VideoSourceConfiguration><tt:VideoEncoderConfiguration token="e-${token}">${encoder}</tt:VideoEncoderConfiguration></trt:Profiles>`,
        )
        .join(''),
      GetVideoSources: '<trt:VideoSources token="vs1"><tt:Framerate>25</tt:Framerate></trt:VideoSources>',
      GetStreamUri: `<trt:MediaUri><tt:Uri>${this.#uriIn(requestText).replaceAll('&', '&amp;')}</tt:Uri></trt:MediaUri>`,
    };
    const ns = action === 'GetServices' ? 'tds' : 'trt';
    return [200, envelope(`<${ns}:${action}Response>${answers[action] ?? ''}</${ns}:${action}Response>`)];
  }
}

/** Encoder settings of a profile. */
export function encoderOf(encoding: string, width: number, height: number, fps?: number): string {
  const rate =
    fps === undefined
      ? ''
      : `<tt:RateControl><tt:FrameRateLimit>${fps}</tt:FrameRateLimit><tt:BitrateLimit>512</tt:BitrateLimit></tt:RateControl>`;
  return `<tt:Encoding>${encoding}</tt:Encoding><tt:Resolution><tt:Width>${width}</tt:Width><tt:Height>${height}</tt:Height></tt:Resolution>${rate}`;
}

/** Password_Digest = Base64(SHA-1(nonce + created + password)) (WS-Security UsernameToken Profile 1.1, 3.1). */
function isRight(requestText: string): boolean {
  const of = (name: string): string =>
    new RegExp(`<${name}(?: [^>]*)?>([^<]*)<`).exec(requestText)?.[1] ?? '';
  const nonce = Buffer.from(of('Nonce'), 'base64');
  const digest = createHash('sha1').update(nonce).update(of('Created')).update(PASSWORD).digest('base64');
  return of('Username') === USER && of('Password') === digest;
}
