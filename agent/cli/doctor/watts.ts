/**
 * Power consumption as reported by the board, if it has a sensor with a driver. One source is hwmon (power in µW, or
 * the voltages and currents of an INA3221, as on NVIDIA's Jetson). The other is the power chip of a Raspberry Pi 5,
 * through vcgencmd.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { sysfsNames, sysfsText } from '../../base/sysfs.ts';

const run = promisify(execFile);

/** Time limit in ms; it replies within some milliseconds. */
const VCGENCMD_WITHIN_MS = 2000;
/**
 * Interval in ms. A reading on the Raspberry Pi starts a process; with more frequent readings, its own power would
 * distort the value.
 */
const READ_EVERY_MS = 2000;

export interface Rail {
  readonly name: string;
  readonly watts: number;
}

export interface Power {
  readonly watts: number;
  /** Scope of the value. */
  readonly of: string;
}

/**
 * Reads the power. `root` contains sys and dev; values other than `/` are for tests. Null: the board does not report
 * it.
 */
export async function readPower(root = '/'): Promise<Power | null> {
  const board = boardPower(hwmonRails(join(root, 'sys/class/hwmon')));
  if (board !== null || !existsSync(join(root, 'dev/vcio'))) return board;
  const answer = await run('vcgencmd', ['pmic_read_adc'], { timeout: VCGENCMD_WITHIN_MS }).catch(
    () => undefined,
  );
  return answer === undefined ? null : pmicPower(answer.stdout);
}

/** Returns the mean of the readings while `during` runs, of which there is at least one. Rejects if `during` does. */
export async function meanPower<T>(
  during: Promise<T>,
  read: () => Promise<Power | null>,
  everyMs = READ_EVERY_MS,
): Promise<{ readonly result: T; readonly power: Power | null }> {
  const readings: Power[] = [];
  let reading: Promise<void> | undefined;
  const take = (): void => {
    reading ??= read().then((power) => {
      if (power !== null) readings.push(power);
      reading = undefined;
    });
  };
  const timer = setInterval(take, everyMs);
  try {
    take();
    const result = await during;
    await reading;
    const [first] = readings;
    if (first === undefined) return { result, power: null };
    const watts = readings.reduce((total, one) => total + one.watts, 0) / readings.length;
    return { result, power: { watts: Number(watts.toPrecision(3)), of: first.of } };
  } finally {
    clearInterval(timer);
  }
}

/**
 * Returns every rail with a sensor in `dir` (/sys/class/hwmon). Units are the kernel's
 * (Documentation/hwmon/sysfs-interface.rst, ina3221.rst): µW, mV, mA. Channels 4 to 7 of an INA3221 are shunt voltages
 * and sums.
 */
export function hwmonRails(dir: string): Rail[] {
  return (sysfsNames(dir) ?? []).flatMap((chip) => {
    const at = (file: string): string | undefined => sysfsText(join(dir, chip, file));
    const number = (file: string): number => {
      const read = at(file);
      return read === undefined || read === '' ? Number.NaN : Number(read);
    };
    const name = at('name') ?? chip;
    const files = sysfsNames(join(dir, chip)) ?? [];
    const direct = files.flatMap((file) => {
      const channel = /^power(\d+)_(?:input|average)$/.exec(file)?.[1];
      if (channel === undefined) return [];
      return [{ name: at(`power${channel}_label`) ?? name, watts: number(file) / 1_000_000 }];
    });
    const pairs =
      name !== 'ina3221'
        ? []
        : [1, 2, 3].map((channel) => ({
            name: at(`in${channel}_label`) ?? `${name} ${channel}`,
            watts: (number(`in${channel}_input`) * number(`curr${channel}_input`)) / 1_000_000,
          }));
    return [...direct, ...pairs].filter(({ watts }) => Number.isFinite(watts) && watts >= 0);
  });
}

/** NVIDIA's name for the power of the complete module. */
const MODULE_RAIL = 'VDD_IN';

/**
 * Returns one value for the board, if there is one. Rails are parts of each other, so a sum of several is meaningless.
 */
export function boardPower(rails: readonly Rail[]): Power | null {
  const rail = rails.find(({ name }) => name === MODULE_RAIL) ?? (rails.length === 1 ? rails[0] : undefined);
  return rail === undefined ? null : { watts: rail.watts, of: rail.name };
}

/**
 * Parses the output of `vcgencmd pmic_read_adc`: lines such as `VDD_CORE_A current(7)=1.08A` and
 * `VDD_CORE_V volt(15)=0.72V`. A rail without its other half (the 5 V input) is left out. Null if no rail is complete.
 */
export function pmicPower(answer: string): Power | null {
  const amperes = new Map<string, number>();
  const volts = new Map<string, number>();
  for (const [, rail, value] of answer.matchAll(/(\w+)_A\s+current\(\d+\)=([\d.]+)A/g))
    amperes.set(rail as string, Number(value));
  for (const [, rail, value] of answer.matchAll(/(\w+)_V\s+volt\(\d+\)=([\d.]+)V/g))
    volts.set(rail as string, Number(value));
  let watts = 0;
  let rails = 0;
  for (const [rail, ampere] of amperes) {
    const volt = volts.get(rail);
    if (volt === undefined || !Number.isFinite(ampere * volt)) continue;
    watts += ampere * volt;
    rails += 1;
  }
  if (rails === 0) return null;
  return { watts, of: 'the power chip’s rails, without what hangs on 5 V' };
}
