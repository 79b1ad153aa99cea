/**
 * Compares the number of silent boxes among those that tried a change with that among the others.
 *
 * A site with power only at night, a site without network and a dead box silence both groups alike. A release that
 * takes boxes off the network silences only one of them.
 *
 * Method: Fisher's exact test, one-sided, in strata. If the change has no effect, the silent boxes of a site are
 * distributed over the two groups by chance (the hypergeometric distribution). The statistic is the sum over the sites.
 *
 * Sources: R. A. Fisher, The Design of Experiments (1935); C. R. Mehta, N. R. Patel, R. Gray, Computing an exact
 * confidence interval for the common odds ratio in several 2×2 tables, JASA 80 (1985). The normal approximation that
 * avoids most exact computations is that of N. Mantel, W. Haenszel, JNCI 22 (1959).
 */

export interface Watched {
  /** Box in the form `site/box`. */
  readonly id: string;
  readonly isSilent: boolean;
}

export interface Comparison {
  readonly triedCount: number;
  readonly silent: number;
  readonly untriedCount: number;
  readonly untriedSilent: number;
  /** Probability of at least this number of silent boxes among the tried ones if the change has no effect. */
  readonly probability: number;
}

/**
 * Largest probability that counts as evidence. Tried boxes are chosen by a hash, so a harmless release is below it at
 * most once in 1/DOUBT independent checks. A rollout of days has some ten: nights, days, waves.
 */
export const DOUBT = 0.001;
/** Number of untried boxes from which a site is a stratum of its own; smaller sites are combined. */
const SITE_MIN = 10;
/** Standard deviations below which no exact probability is as low as `DOUBT`. */
const DEVIATIONS_MIN = 2;
/** Probabilities below this do not affect the comparison with `DOUBT`. */
const NEGLIGIBLE = 1e-18;

export function compare(triedBoxes: readonly Watched[], untriedBoxes: readonly Watched[]): Comparison {
  const silentOf = (boxes: readonly Watched[]): number => boxes.filter(({ isSilent }) => isSilent).length;
  const counts = {
    triedCount: triedBoxes.length,
    silent: silentOf(triedBoxes),
    untriedCount: untriedBoxes.length,
    untriedSilent: silentOf(untriedBoxes),
  };
  return {
    ...counts,
    probability: counts.silent === 0 ? 1 : probabilityOf(strataOf(triedBoxes, untriedBoxes)),
  };
}

interface Stratum {
  triedCount: number;
  silent: number;
  untriedCount: number;
  untriedSilent: number;
}

/**
 * Returns the strata: sites with enough untried boxes, and the rest combined. All are combined if the rest has no
 * untried boxes.
 */
function strataOf(triedBoxes: readonly Watched[], untriedBoxes: readonly Watched[]): Stratum[] {
  const sites = new Map<string, Stratum>();
  const at = (id: string): Stratum => {
    const site = id.slice(0, id.lastIndexOf('/') + 1);
    const stratum = sites.get(site) ?? { triedCount: 0, silent: 0, untriedCount: 0, untriedSilent: 0 };
    sites.set(site, stratum);
    return stratum;
  };
  for (const { id, isSilent } of triedBoxes) {
    const stratum = at(id);
    stratum.triedCount += 1;
    if (isSilent) stratum.silent += 1;
  }
  for (const { id, isSilent } of untriedBoxes) {
    const stratum = at(id);
    stratum.untriedCount += 1;
    if (isSilent) stratum.untriedSilent += 1;
  }
  const all = [...sites.values()];
  const large = all.filter((stratum) => stratum.untriedCount >= SITE_MIN);
  const rest = together(all.filter((stratum) => stratum.untriedCount < SITE_MIN));
  if (rest.triedCount === 0) return large;
  return rest.untriedCount >= SITE_MIN ? [...large, rest] : [together(all)];
}

function together(strata: readonly Stratum[]): Stratum {
  const sum = { triedCount: 0, silent: 0, untriedCount: 0, untriedSilent: 0 };
  for (const stratum of strata)
    for (const name of ['triedCount', 'silent', 'untriedCount', 'untriedSilent'] as const)
      sum[name] += stratum[name];
  return sum;
}

function probabilityOf(strata: readonly Stratum[]): number {
  let [silent, expected, variance] = [0, 0, 0];
  for (const { triedCount, silent: observed, untriedCount, untriedSilent } of strata) {
    const [boxes, quiet] = [triedCount + untriedCount, observed + untriedSilent];
    silent += observed;
    expected += (triedCount * quiet) / boxes;
    if (boxes > 1)
      variance += (triedCount * untriedCount * quiet * (boxes - quiet)) / (boxes * boxes * (boxes - 1));
  }
  if (silent - expected <= DEVIATIONS_MIN * Math.sqrt(variance)) return 1;
  let sum: Distribution = { from: 0, chances: [1] };
  for (const stratum of strata) sum = added(sum, hypergeometric(stratum));
  return Math.min(
    1,
    sum.chances.slice(Math.max(0, silent - sum.from)).reduce((total, chance) => total + chance, 0),
  );
}

/** Probabilities of `from`, `from + 1`, …; omitted ones are negligible. */
interface Distribution {
  readonly from: number;
  readonly chances: readonly number[];
}

/** Returns the distribution of the number of silent boxes among the tried ones of a stratum. */
function hypergeometric({ triedCount, silent, untriedCount, untriedSilent }: Stratum): Distribution {
  const quiet = silent + untriedSilent;
  const from = Math.max(0, quiet - untriedCount);
  const all = logChoose(triedCount + untriedCount, quiet);
  const chances: number[] = [];
  for (let n = from; n <= Math.min(triedCount, quiet); n += 1)
    chances.push(Math.exp(logChoose(triedCount, n) + logChoose(untriedCount, quiet - n) - all));
  return trimmed({ from, chances });
}

function added(a: Distribution, b: Distribution): Distribution {
  const chances = new Array<number>(a.chances.length + b.chances.length - 1).fill(0);
  for (const [i, p] of a.chances.entries())
    for (const [j, q] of b.chances.entries()) chances[i + j] = (chances[i + j] ?? 0) + p * q;
  return trimmed({ from: a.from + b.from, chances });
}

function trimmed({ from, chances }: Distribution): Distribution {
  const first = chances.findIndex((chance) => chance > NEGLIGIBLE);
  const last = chances.findLastIndex((chance) => chance > NEGLIGIBLE);
  return { from: from + first, chances: chances.slice(first, last + 1) };
}

/** Cached logarithms of n!. */
const logFactorials = [0];

function logFactorial(n: number): number {
  for (let i = logFactorials.length; i <= n; i += 1)
    logFactorials.push((logFactorials[i - 1] ?? 0) + Math.log(i));
  return logFactorials[n] ?? 0;
}

function logChoose(n: number, k: number): number {
  return logFactorial(n) - logFactorial(k) - logFactorial(n - k);
}
