/**
 * What a technician at the pole may change of a configuration, and nothing else of it: where the camera is, what is
 * drawn, and the rules. Keys, broker, authority and retention are the room's.
 */
import { type Static, Type } from '@sinclair/typebox';
import { CameraConfig, Config, GroundPlaneConfig, SubstreamAddress } from './config.ts';

const strict = { additionalProperties: false } as const;

/** With every list full it has some 220 kB. */
export const PROPOSAL_BYTES_MAX = 262_144;

export const Proposal = Type.Object(
  {
    /** With user and password where the camera asks for them; absent: as it is. They are never given back. */
    source: Type.Optional(CameraConfig.properties.source),
    /** Second stream, as `source`. Null: none; absent: as it is, or none where `source` is another address. */
    substream: Type.Optional(Type.Union([SubstreamAddress, Type.Null()])),
    /** Null: none; absent: as it is. */
    groundPlane: Type.Optional(Type.Union([GroundPlaneConfig, Type.Null()])),
    zones: Config.properties.zones,
    lines: Config.properties.lines,
    masks: Config.properties.masks,
    rules: Config.properties.rules,
  },
  strict,
);
export type Proposal = Static<typeof Proposal>;

/** The part of the installed configuration that a proposal may change, as a technician sees it. */
export const Proposable = Type.Object(
  {
    /** As `shownSource` gives it. */
    cameraAddress: Type.String({ maxLength: 1024 }),
    /** Second stream, as `cameraAddress`; absent: none. */
    substreamAddress: Type.Optional(Type.String({ maxLength: 1024 })),
    groundPlane: Type.Union([GroundPlaneConfig, Type.Null()]),
    zones: Config.properties.zones,
    lines: Config.properties.lines,
    masks: Config.properties.masks,
    rules: Config.properties.rules,
  },
  strict,
);
export type Proposable = Static<typeof Proposable>;
