/** Full example of docs/ref/config.md: every key once, with its purpose. */
export const EXAMPLE = `# One box beside one camera: /etc/vigie/vigie.yaml
site: marseille-1
box: canebiere-017                    # equals the CN of the box's certificate
timeZone: Europe/Paris                # schedules are in it
holidays: [2026-07-14, 2026-12-25]

camera:
  source: rtsp://10.0.0.2/main        # or file:/path/clip.mp4, v4l2:/dev/video0, libcamera:, test:pattern
  fps: 5                              # analysed frames per second
  substream: rtsp://10.0.0.2/sub      # optional: a small second stream, which only wakes the box on a quiet street

detector:
  model: nanodet-g-city10
  input: [416, 256]                   # width and height, multiples of 32
  providers: [cpu]
  backend: onnxruntime                # or gstreamer: then the element below runs a model that was made for it
  element:
    name: onnxinference
    model: nanodet-g-city10
    properties: [execution-provider=cpu]

groundPlane:                          # two adults marked on a still, one near and one far, on flat ground
  people:
    - { feet: [0.30, 0.95], head: [0.30, 0.60] }
    - { feet: [0.60, 0.45], head: [0.60, 0.33] }
  hfovDeg: 78                         # of the lens; with it, crowds are reported in people per m²

# Coordinates are ratios of the picture's width and height: [0, 0] is its top left, [1, 1] its bottom right.
zones:
  - id: forecourt
    polygon: [[0.1, 0.5], [0.9, 0.5], [0.9, 1.0], [0.1, 1.0]]
  - id: one-way-lane
    polygon: [[0.3, 0.4], [0.6, 0.4], [0.6, 0.5], [0.3, 0.5]]
  - id: west-wall
    polygon: [[0.0, 0.2], [0.2, 0.2], [0.2, 0.5], [0.0, 0.5]]
lines:
  - id: kerb
    from: [0.2, 0.6]
    to: [0.8, 0.6]
masks:                                # black before detection, snapshot and sealing
  - id: window-2f
    polygon: [[0.0, 0.0], [0.2, 0.0], [0.2, 0.2], [0.0, 0.2]]

alertsPerHour: 60                     # of one rule; more are suppressed, counted and reported as one event

rules:
  - id: cars-on-forecourt
    kind: vehicle-in-pedestrian-zone
    zone: forecourt
    purpose: pedestrian-safety
    classes: [car, truck, bus, motorcycle]
    afterS: 2
    schedule:                         # deliveries are allowed in the morning, but not on holidays
      - { days: [mon, tue, wed, thu, fri, sat], from: "11:00", to: "06:00" }
      - { days: [sun, holiday], from: "00:00", to: "24:00" }
  - id: parked-on-forecourt
    kind: illegal-parking
    zone: forecourt
    purpose: pedestrian-safety
    classes: [car, truck, bus, motorcycle]
    afterS: 60
    moveTolerance: 0.25
  - id: against-the-lane
    kind: wrong-way
    zone: one-way-lane
    purpose: traffic-safety
    directionDeg: 0                   # counter-clockwise in the picture: 0 = to the right, 90 = up
    toleranceDeg: 60
    minTravel: 0.1
  - id: over-the-kerb
    kind: line-crossing
    line: kerb
    purpose: traffic-count
    classes: [car, truck, bus, motorcycle]
    direction: both
  - id: long-stay
    kind: loitering
    zone: forecourt
    purpose: public-order
    classes: [person]
    afterS: 120
  - id: crowd
    kind: crowd-gathering
    zone: forecourt
    purpose: public-order
    minCount: 10
    afterS: 20
  - id: rubbish
    kind: illegal-dumping
    zone: forecourt
    purpose: cleanliness
    afterS: 30
    minAreaNorm: 0.0005
  - id: paint
    kind: graffiti
    zone: west-wall
    purpose: cleanliness
    dwellS: 5
    persistS: 30

authorisation: /etc/vigie/authorisation.dsse.json # without a valid one, the analysis is off
installation: /etc/vigie/installation.dsse.json   # for installation, at most a day: no rule runs
authorityKey: /etc/vigie/authority.pub            # whose signature counts; pinned at its first use

mqtt:
  url: mqtts://room.example:8883
  ca: /etc/vigie/ca.pem
  cert: /etc/vigie/box.pem
  key: /etc/vigie/box.key             # mode 0640 or narrower; credential:NAME: from systemd
  ack: archive                        # archive | broker

bridges:                              # the same events for other systems, best effort
  onvif: false
  homeAssistant: false

retention:
  eventsDays: 30
  snapshotsDays: 7
  sealedDays: 30
  outboxMiB: 64
  archiveMiB: 64
  tracksMiB: 128

metrics:
  port: 9464                          # /metrics on 127.0.0.1, for Prometheus; 0 = none

commands:                             # who may ask this box for what, by signature
  keys:
    - name: judge-desk
      publicKey: MCowBQYDK2VwAyEAYppY7yGX6ebcwylcGIKRzJnYV+Eq9CtExDCkcH4XqTU=
      may: [search, suspend]
`;
