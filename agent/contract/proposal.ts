/**
 * Part of a configuration that a technician on site may change: the camera's address, the drawn places and the rules.
 * Keys, broker, authority and retention are managed by the room.
 */
import { type Static, Type } from '@sinclair/typebox';
import { CameraConfig, Config, GroundPlaneConfig, SubstreamAddress } from './config.ts';

const strict = { additionalProperties: false } as const;

/** Maximum size in bytes. With every list full, a proposal has about 220 kB. */
export const PROPOSAL_BYTES_MAX = 262_144;

export const Proposal = Type.Object(
  {
    /**
     * Address with user and password if the camera needs them. If absent, it is unchanged. Logins are never returned.
     */
    source: Type.Optional(CameraConfig.properties.source),
    /** Second stream, like `source`. Null: none. Absent: unchanged, or none if `source` is another address. */
    substream: Type.Optional(Type.Union([SubstreamAddress, Type.Null()])),
    /** Null for none. If absent, it is unchanged. */
    groundPlane: Type.Optional(Type.Union([GroundPlaneConfig, Type.Null()])),
    zones: Config.properties.zones,
    lines: Config.properties.lines,
    masks: Config.properties.masks,
    rules: Config.properties.rules,
  },
  strict,
);
export type Proposal = Static<typeof Proposal>;

/** Part of the installed configuration that a proposal may change, as shown to a technician. */
export const Proposable = Type.Object(
  {
    /** Address as returned by `shownSource`. */
    cameraAddress: Type.String({ maxLength: 1024 }),
    /** Second stream, like `cameraAddress`; absent if there is none. */
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
