/** Gives PATH with /usr/sbin, where Debian installs brokers and tools of file systems: a user other than root lacks it. */
export const systemPath = (): string => `${process.env['PATH'] ?? ''}:/usr/sbin`;
