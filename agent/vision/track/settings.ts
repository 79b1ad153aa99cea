/**
 * Every figure of the tracker, with its reason. Durations are in time, not in frames, and lengths in
 * parts of the object's box, so that they hold at any frame rate, resolution and distance.
 *
 * "Measured" means: on the ground truth of PETS09-S2L1 (10 frames a second, people small) and
 * TUD-Stadtmitte (25, people large), with the boxes of nanodet-g-city10 at 416 × 256. The tables are in
 * docs/design/003-tracker.md, which also shows that the results change little when a figure does.
 */
import type { Group } from '../../contract/label.ts';
import type { MotionNoise } from './kalman.ts';

export interface GroupSettings {
  /** Scores from here on are believed: they take part in the first pass. */
  readonly highScoreMin: number;
  /** Scores from here on may continue a track where it must be (Zhang et al., "ByteTrack", 2022)… */
  readonly lowScoreMin: number;
  /** …for so long after its last high score. */
  readonly lowMemoryMs: number;
  /** Scores from here on begin a track, which is reported only once it is confirmed. */
  readonly startScoreMin: number;
  /** A track is confirmed after so many detections… */
  readonly confirmHits: number;
  /** …in at least this share of the frames since the first… */
  readonly confirmShare: number;
  /** …over so much time… */
  readonly confirmMs: number;
  /** …and the best of them has this score. */
  readonly peakScoreMin: number;
  readonly noise: MotionNoise;
  /** What begins is expected to move as others did at its place: traffic has lanes, people have not. */
  readonly flow?: true;
}

/**
 * Measured at scores above 0.5: the detector's error is 0.045 heights in the box's centre and 0.065 in
 * its size; at lower scores twice as much. It is alike in frames 0.1 to 0.2 s apart, since a pose lasts.
 * People walk 0.8 heights a second (1.4 m/s at 1.7 m); that changes in a second by 0.28 along the rows
 * and 0.08 across them (root mean square), 0.35 leaves room for those who run and turn. A height changes
 * by 4 % in a second.
 */
const walking: MotionNoise = {
  centre: 0.045,
  size: 0.065,
  correlationS: 0.1,
  startVelocity: 0.8,
  agility: 0.35,
  verticalShare: 0.4,
  sizeAgility: 0.04,
};

/**
 * A car of 4.5 m at 50 km/h moves 3 lengths a second; braking and turning at 4 m/s² change that by 1 in a
 * second. One that comes towards the camera from 20 m grows by half in a second; it moves in any direction.
 */
const driving: MotionNoise = { ...walking, startVelocity: 3, agility: 1, verticalShare: 1, sizeAgility: 0.3 };

const person: GroupSettings = {
  // Below it more boxes are wrong than right.
  highScoreMin: 0.45,
  // The detector's floor.
  lowScoreMin: 0.15,
  // Half a body behind a pole or a passer-by; a false box that once scored high would live for ever.
  lowMemoryMs: 1000,
  // From 0.5 to 0.6 all is equal; 0.4 begins a third more false tracks.
  startScoreMin: 0.55,
  peakScoreMin: 0.55,
  // Twice in the same place: most false boxes come once.
  confirmHits: 2,
  confirmMs: 0,
  confirmShare: 0,
  noise: walking,
};

/**
 * In a dark picture people score less: of boxes of 0.4 and more 91 and 88 in 100 are right on copies of PETS09-S2L1 and
 * TUD-Stadtmitte at gamma 0.5 with noise, as many as of 0.55 and more by day, and they show 80 and 62 of 100 people; those of
 * 0.5 and more show 72 and 52.
 */
const personInTheDark: GroupSettings = { ...person, startScoreMin: 0.4, peakScoreMin: 0.4 };

const vehicle: GroupSettings = {
  // Seen from above, a car's best scores are 0.2 to 0.4: what one score cannot say, time must.
  highScoreMin: 0.3,
  lowScoreMin: 0.15,
  // A car that has stopped scores 0.2 for as long as it stands.
  lowMemoryMs: Number.POSITIVE_INFINITY,
  startScoreMin: 0.15,
  peakScoreMin: 0.3,
  confirmHits: 3,
  confirmMs: 300,
  // A car is found in two frames of three, a stone that looks like one in one of three.
  confirmShare: 0.5,
  noise: driving,
  flow: true,
};

/** Not measured (no ground truth at hand): believed like a person, moves like a vehicle. */
const cycle: GroupSettings = { ...person, startScoreMin: 0.5, peakScoreMin: 0.5, noise: driving };

export interface TrackerSettings {
  readonly groups: Readonly<Record<Group, GroupSettings>>;
  /** The same for what begins while the picture is dark. */
  readonly groupsInTheDark: Readonly<Record<Group, GroupSettings>>;
  /** How long a track is remembered unseen: people pass behind a pole or each other in less. */
  readonly memoryMs: number;
  /** How long a track that is not confirmed is remembered unseen: two frames at the lowest usual rate. */
  readonly tentativeMs: number;
  /** Least overlap in the first pass: less than a car's at 50 km/h and 5 frames a second. */
  readonly iouMin: number;
  /** Least overlap with a box of low score: believed only where the object must be. */
  readonly lowIouMin: number;
  /** By how much boxes are enlarged on each side in the last pass (Yang et al., "C-BIoU", 2023)… */
  readonly enlargeShare: number;
  /** …and the least overlap then. */
  readonly enlargedIouMin: number;
  /** Greatest squared Mahalanobis distance, four degrees of freedom: chance exceeds it once in 20,000. */
  readonly distance2Max: number;
  /** Least likeness of colours; below it, two things are not one. */
  readonly likenessMin: number;
  /** Power of the colours' likeness in a pair's worth; 0 = colours are not looked at. */
  readonly likenessPower: number;
  /** A colour print averages over so long: a few steps. */
  readonly printS: number;
  /** A box that another one overlaps by more lends no colour. */
  readonly crowdedIou: number;
  /** A box that overlaps a matched one by more begins no track: it is the same object again. */
  readonly duplicateIou: number;
  /** A track whose predicted box lies outside the frame by more has left. */
  readonly outsideShareMax: number;
  /** A box whose side is this close to the frame's edge, in frame sizes, is cut off by it. */
  readonly edgeSlack: number;
  /** Tracks at once; further ones are refused and counted. */
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
  enlargeShare: 0.4,
  enlargedIouMin: 0.1,
  distance2Max: 25,
  likenessMin: 0.4,
  likenessPower: 2,
  printS: 1,
  crowdedIou: 0.2,
  duplicateIou: 0.4,
  outsideShareMax: 0.5,
  edgeSlack: 0.02,
  tracksMax: 256,
};
