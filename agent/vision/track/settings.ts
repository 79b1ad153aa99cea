/**
 * All values of the tracker, with their reasons. Durations are in time, not in frames, and lengths in parts of the
 * object's box, so that they hold at any frame rate, resolution and distance.
 *
 * "Measured" means on the ground truth of PETS09-S2L1 (10 frames a second, people small) and TUD-Stadtmitte (25, people
 * large), with the boxes of nanodet-g-city10 at 416 × 256. The tables are in docs/design/003-tracker.md, which also
 * shows that the results change little with any value.
 */
import type { Group } from '../../contract/label.ts';
import type { MotionNoise } from './kalman.ts';

export interface GroupSettings {
  /** Minimum score of the first pass. */
  readonly highScoreMin: number;
  /** Minimum score that continues a track where the object must be (Zhang et al., "ByteTrack", 2022). */
  readonly lowScoreMin: number;
  /** Time for which such scores continue a track after its last high score, in ms. */
  readonly lowMemoryMs: number;
  /** Minimum score that begins a track, which is reported only once it is confirmed. */
  readonly startScoreMin: number;
  /** Number of detections that confirm a track. */
  readonly confirmHits: number;
  /** Minimum ratio of frames with a detection since the first, for a confirmation. */
  readonly confirmRatio: number;
  /** Minimum time over which they occur, in ms. */
  readonly confirmMs: number;
  /** Minimum score of the best of them. */
  readonly peakScoreMin: number;
  readonly noise: MotionNoise;
  /** A new object is expected to move like others at its place: traffic has lanes, people have none. */
  readonly flow?: true;
}

/**
 * Measured at scores above 0.5: the detector's error is 0.045 heights in the box's centre and 0.065 in its size. At
 * lower scores it is twice as much. It is alike in frames 0.1 to 0.2 s apart, since a pose lasts.
 *
 * People walk 0.8 heights a second (1.4 m/s at 1.7 m). In a second, that changes by 0.28 along the rows and 0.08 across
 * them (root mean square); 0.35 leaves room for people who run and turn. A height changes by 4 % in a second.
 */
const walking: MotionNoise = {
  centre: 0.045,
  size: 0.065,
  correlationS: 0.1,
  startVelocity: 0.8,
  agility: 0.35,
  verticalRatio: 0.4,
  sizeAgility: 0.04,
};

/**
 * A car of 4.5 m at 50 km/h moves 3 lengths a second; braking and turning at 4 m/s² change that by 1 in a second. A car
 * that comes towards the camera from 20 m grows by half in a second; it moves in any direction.
 */
const driving: MotionNoise = { ...walking, startVelocity: 3, agility: 1, verticalRatio: 1, sizeAgility: 0.3 };

const person: GroupSettings = {
  // Below it more boxes are wrong than right.
  highScoreMin: 0.45,
  // The detector's minimum score.
  lowScoreMin: 0.15,
  // Half a body behind a post or a passer-by. Longer, a false box that once scored high would live indefinitely.
  lowMemoryMs: 1000,
  // From 0.5 to 0.6 results are equal; 0.4 begins a third more false tracks.
  startScoreMin: 0.55,
  peakScoreMin: 0.55,
  // Twice in the same place: most false boxes come once.
  confirmHits: 2,
  confirmMs: 0,
  confirmRatio: 0,
  noise: walking,
};

/**
 * Lower limits for a dark picture, in which people score less. They were measured on copies of PETS09-S2L1 and
 * TUD-Stadtmitte at gamma 0.5 with noise. Of boxes of 0.4 and more, 91 and 88 in 100 are right, as many as of 0.55 and
 * more by day. They show 80 and 62 of 100 people; those of 0.5 and more show 72 and 52.
 */
const personInTheDark: GroupSettings = { ...person, startScoreMin: 0.4, peakScoreMin: 0.4 };

const vehicle: GroupSettings = {
  // Seen from above, a car's best scores are 0.2 to 0.4, so time must replace the certainty of one score.
  highScoreMin: 0.3,
  lowScoreMin: 0.15,
  // A car that has stopped scores 0.2 for the complete stop.
  lowMemoryMs: Number.POSITIVE_INFINITY,
  startScoreMin: 0.15,
  peakScoreMin: 0.3,
  confirmHits: 3,
  confirmMs: 300,
  // A car is found in two frames of three, a stone that looks like one in one of three.
  confirmRatio: 0.5,
  noise: driving,
  flow: true,
};

/** Not measured (no ground truth at hand): believed like a person, moves like a vehicle. */
const cycle: GroupSettings = { ...person, startScoreMin: 0.5, peakScoreMin: 0.5, noise: driving };

export interface TrackerSettings {
  readonly groups: Readonly<Record<Group, GroupSettings>>;
  /** The same for tracks that begin while the picture is dark. */
  readonly groupsInTheDark: Readonly<Record<Group, GroupSettings>>;
  /** Memory of an undetected track, in ms; people pass behind a post or each other in less. */
  readonly memoryMs: number;
  /** Memory of an undetected track that is not confirmed, in ms: two frames at the lowest usual rate. */
  readonly tentativeMs: number;
  /** Minimum overlap in the first pass: less than a car's at 50 km/h and 5 frames a second. */
  readonly iouMin: number;
  /** Minimum overlap with a box of low score, which is accepted only where the object must be. */
  readonly lowIouMin: number;
  /** Enlargement of boxes on each side in the last pass, as a ratio (Yang et al., "C-BIoU", 2023). */
  readonly enlargeRatio: number;
  /** Minimum overlap of boxes after that enlargement. */
  readonly enlargedIouMin: number;
  /** Maximum squared Mahalanobis distance, four degrees of freedom: chance exceeds it once in 20,000. */
  readonly distance2Max: number;
  /** Minimum likeness of colours; below it, two objects are not one. */
  readonly likenessMin: number;
  /** Power of the colours' likeness in a pair's worth; 0 = colours are ignored. */
  readonly likenessPower: number;
  /** Time over which a colour print averages, in s: a few steps. */
  readonly printS: number;
  /** Overlap with another box above which a box lends no colour. */
  readonly crowdedIou: number;
  /** Overlap with a matched box above which a box begins no track, because it is the same object. */
  readonly duplicateIou: number;
  /** Ratio of the predicted box outside the frame above which a track has left. */
  readonly outsideRatioMax: number;
  /** Distance to the frame's edge, in frame sizes, within which it cuts off a side of a box. */
  readonly edgeSlack: number;
  /** Maximum number of tracks; further ones are refused and counted. */
  readonly tracksMax: number;
}

const GROUPS = { person, vehicle, cycle, animal: person, bag: person };

export const SETTINGS: TrackerSettings = {
  groups: GROUPS,
  groupsInTheDark: { ...GROUPS, person: personInTheDark },
  memoryMs: 2000,
  tentativeMs: 500,
  iouMin: 0.2,
  lowIouMin: 0.5,
  enlargeRatio: 0.4,
  enlargedIouMin: 0.1,
  distance2Max: 25,
  likenessMin: 0.4,
  likenessPower: 2,
  printS: 1,
  crowdedIou: 0.2,
  duplicateIou: 0.4,
  outsideRatioMax: 0.5,
  edgeSlack: 0.02,
  tracksMax: 256,
};
