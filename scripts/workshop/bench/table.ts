/** Formats the report as a readable table. */
import { GOALS, type Report } from './benchmark.ts';
import type { AgentCost, LiveCost, LiveReport } from './live.ts';

export function tableOf(report: Report): string {
  const { floor, vision, agent, peer, ratio, goals, rssPeakMiB, wallMs, v8 } = report;
  const rows: string[][] = [['CPU-ms per frame', 'floor', 'agent']];
  for (const [stage, ms] of Object.entries(vision.stages))
    rows.push([stage, figure(floor.stages[stage]), figure(ms)]);
  rows.push(
    ['vision process', figure(floor.total), figure(vision.total)],
    ['agent process', '', figure(agent.total)],
    ['wall-ms per frame', figure(wallMs.capture + wallMs.detect), figure(wallMs.agent)],
  );
  const memory = Object.entries(rssPeakMiB).map(([name, mib]) => `${name} ${mib.toFixed(0)}`);
  const residentMiB = (rssPeakMiB['vision'] ?? 0) + (rssPeakMiB['agent'] ?? 0);
  return [
    `${report.clip}: ${report.frames} frames at ${report.input.join('x')}, ${report.rounds} rounds, ${report.events} events`,
    `${report.machine.cpu}, ${report.machine.cores} cores, node ${report.machine.node}, ${report.model}`,
    '',
    ...aligned(rows),
    '',
    ...(peer === undefined
      ? []
      : [
          `Python peer, CPU-ms     ${peer.cpuMs.toFixed(2)}  (${peer.versions}; peak RSS ${peer.rssPeakMiB.toFixed(0)} MiB)`,
          `vision ÷ peer           ${(vision.total / peer.cpuMs).toFixed(3)}  (at most ${GOALS.peerRatioMax}: ${verdict(goals.peer === true)})`,
        ]),
    `plate, CPU-ms at 5 fps  ${vision.cleanPlateMs.toFixed(2)}  (at most ${GOALS.cleanPlateMsMax}: ${verdict(goals.plate)})`,
    `vision ÷ floor          ${ratio.vision.toFixed(3)}  (at most ${GOALS.ratioMax}: ${verdict(goals.ratio)}; without the plate)`,
    `vision + agent ÷ floor  ${ratio.both.toFixed(3)}`,
    `agent, CPU-ms           ${agent.total.toFixed(2)}  (at most ${GOALS.agentMsMax}: ${verdict(goals.agent)})`,
    `V8, of 1,000 frames     ${v8.compilations.toFixed(1)} compilations (at most ${GOALS.compilationsMax}), ${v8.deoptimisations.toFixed(1)} deoptimisations (at most ${GOALS.deoptimisationsMax})`,
    `V8, kB a frame          ${v8.garbageKbPerFrame.toFixed(0)}  (at most ${GOALS.garbageKbMax}; all three: ${verdict(goals.v8)})`,
    `peak RSS, MiB           ${memory.join(', ')}`,
    `vision + agent, MiB     ${residentMiB.toFixed(0)}  (at most ${GOALS.rssMiBMax}: ${verdict(goals.rss)})`,
    ...report.live.flatMap(liveLines),
  ].join('\n');
}

function liveLines({ film, vigie, withSubstream, peer }: LiveReport): string[] {
  const ratioMax = GOALS.liveRatioMax[film];
  const ratioText = (one: LiveCost): string => {
    const ratio = one.cpuPercent / peer.cpuPercent;
    return `${ratio.toFixed(2)}  (at most ${ratioMax}: ${verdict(ratio <= ratioMax)})`;
  };
  const cost = ({ cpuPercent, pssMiB, looksPerS: inferencesPerS }: LiveCost): string =>
    `${cpuPercent.toFixed(1)} % of a core, ${inferencesPerS.toFixed(1)} inferences/s, PSS ${pssMiB?.toFixed(0) ?? '?'} MiB`;
  const agentCost = (one: AgentCost): string =>
    `${cost(one)} (vision ${one.visionPercent.toFixed(1)} %, agent ${one.agentPercent.toFixed(1)} %)`;
  const isSmall = vigie.pssMiB !== null && vigie.pssMiB <= GOALS.livePssMiBMax;
  return [
    '',
    `live, 1080p25, ${film} film`,
    `agent                   ${agentCost(vigie)}`,
    ...(withSubstream === undefined ? [] : [`with the second stream  ${agentCost(withSubstream)}`]),
    `Python peer             ${cost(peer)}`,
    `agent ÷ peer            ${ratioText(vigie)}`,
    ...(withSubstream === undefined ? [] : [`with it ÷ peer          ${ratioText(withSubstream)}`]),
    `PSS                     at most ${GOALS.livePssMiBMax} MiB: ${vigie.pssMiB === null ? 'not measured, only root may' : verdict(isSmall)}`,
  ];
}

function figure(value: number | undefined): string {
  return value === undefined ? '–' : value.toFixed(2);
}

function verdict(reached: boolean): string {
  return reached ? 'reached' : 'MISSED';
}

function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  '),
  );
}
