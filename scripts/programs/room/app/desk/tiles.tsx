/**
 * Every camera as one small node, by site, the worst first. A tile is drawn by a gradient and has no child, and a site
 * whose cameras are as before is not compared again: so 1,500 of them cost a browser one frame.
 */
import { useSignalEffect } from '@preact/signals';
import type { VNode } from 'preact';
import { useRef } from 'preact/hooks';
import type { Camera } from '../../contract/camera.ts';
import { desk } from '../words/desk.ts';
import { chosen, keyOf, rankOf } from './fleet.ts';
import { count } from './say.ts';

interface Site {
  readonly name: string;
  /** Worst first. */
  readonly cameras: Camera[];
}

const WELL = rankOf('well');

/** Sites with the worst cameras first, then those with the most of them. */
function bySite(cameras: readonly Camera[]): Site[] {
  const sites = new Map<string, Site>();
  for (const camera of cameras) {
    const site = sites.get(camera.site);
    if (site === undefined) sites.set(camera.site, { name: camera.site, cameras: [camera] });
    else site.cameras.push(camera);
  }
  const worst = ({ cameras: [first] }: Site) => (first === undefined ? WELL : rankOf(first.condition));
  const many = (site: Site) =>
    site.cameras.filter(({ condition }) => rankOf(condition) === worst(site)).length;
  return [...sites.values()].sort(
    (a, b) =>
      worst(a) - worst(b) || (worst(a) === WELL ? 0 : many(b) - many(a)) || (a.name < b.name ? -1 : 1),
  );
}

const idOf = (key: string) => `camera-${key}`;

interface Props {
  /** Worst first. */
  readonly cameras: readonly Camera[];
}

export function Tiles({ cameras }: Props) {
  const grid = useRef<HTMLDivElement>(null);
  const drawn = useRef(new Map<string, { as: string; node: VNode }>());
  const { cameras: words, conditions } = desk.value;
  const nodes = bySite(cameras).map((site) => {
    const as = `${words.all}${site.cameras.map(({ box, condition }) => `${box}:${rankOf(condition)}`).join()}`;
    const before = drawn.current.get(site.name);
    if (before?.as === as) return before.node;
    const node = <SiteTiles key={site.name} site={site} words={conditions} />;
    drawn.current.set(site.name, { as, node });
    return node;
  });
  // The one node that is marked, and not a change that passes through all of them.
  useSignalEffect(() => {
    const key = chosen.value;
    for (const old of grid.current?.querySelectorAll('[aria-selected=true]') ?? [])
      old.setAttribute('aria-selected', 'false');
    if (key !== undefined) document.getElementById(idOf(key))?.setAttribute('aria-selected', 'true');
  });
  return (
    <div
      ref={grid}
      class="d-tiles"
      role="listbox"
      tabIndex={0}
      aria-label={words.grid}
      aria-activedescendant={chosen.value === undefined ? undefined : idOf(chosen.value)}
      onPointerOver={(event) => name(event.target)}
      onClick={(event) => pick(event.target)}
      onKeyDown={(event) => {
        if (grid.current !== null && move(grid.current, event.key)) event.preventDefault();
      }}
    >
      {nodes}
    </div>
  );
}

interface SiteProps {
  readonly site: Site;
  readonly words: Readonly<Record<Camera['condition'], string>>;
}

function SiteTiles({ site: { name, cameras }, words }: SiteProps) {
  const out = cameras.filter(({ condition }) => condition !== 'well').length;
  return (
    // biome-ignore lint/a11y/useSemanticElements: a group of options, and no fieldset of a form
    <div
      class="d-site"
      role="group"
      aria-label={desk.value.cameras.group(name, count(out), count(cameras.length))}
    >
      <div class="d-site-name" aria-hidden="true">
        {name}
        <span class={out === 0 ? 'quiet' : (cameras[0]?.condition ?? '')}>
          {out === 0 ? count(cameras.length) : `${count(out)} / ${count(cameras.length)}`}
        </span>
      </div>
      {cameras.map((camera) => (
        // biome-ignore lint/a11y/useFocusableInteractive: the list has the focus, and names the option that is active
        <span
          key={camera.box}
          id={idOf(keyOf(camera))}
          class={`d-shape ${camera.condition}`}
          role="option"
          aria-label={`${camera.box}, ${words[camera.condition]}`}
        />
      ))}
    </div>
  );
}

/** Only the one that is pointed at has a title: 1,500 of them are drawn for nothing. */
function name(target: EventTarget | null): void {
  if (target instanceof HTMLElement && target.role === 'option') target.title = target.ariaLabel ?? '';
}

function pick(target: EventTarget | null): void {
  if (target instanceof HTMLElement && target.role === 'option')
    chosen.value = target.id.slice(idOf('').length);
}

/** True where the key was ours. */
function move(grid: HTMLElement, key: string): boolean {
  const tiles = [...grid.querySelectorAll<HTMLElement>('[role=option]')];
  const at = tiles.findIndex(({ id }) => chosen.value !== undefined && id === idOf(chosen.value));
  const next = nextOf(tiles, at, key);
  if (next === undefined) return false;
  pick(next);
  next.scrollIntoView({ block: 'nearest' });
  return true;
}

function nextOf(tiles: readonly HTMLElement[], at: number, key: string): HTMLElement | undefined {
  const now = tiles[at];
  if (key === 'Home') return tiles[0];
  if (key === 'End') return tiles.at(-1);
  if (!key.startsWith('Arrow')) return undefined;
  if (now === undefined) return tiles[0];
  if (key === 'ArrowRight') return tiles[Math.min(at + 1, tiles.length - 1)];
  if (key === 'ArrowLeft') return tiles[Math.max(at - 1, 0)];
  return beyond(tiles, now, key === 'ArrowDown' ? 1 : -1);
}

/** The tile of the nearest row in that direction which lies closest under or over this one. */
function beyond(tiles: readonly HTMLElement[], now: HTMLElement, way: 1 | -1): HTMLElement {
  const here = now.getBoundingClientRect();
  let best = now;
  let least = Number.POSITIVE_INFINITY;
  for (const tile of tiles) {
    const { left, top, width } = tile.getBoundingClientRect();
    const rows = (top - here.top) * way;
    if (rows < 1) continue;
    const aside = Math.abs(left - here.left);
    // Another column of sites is no row of this one, unless nothing lies closer.
    const distance = rows + (aside < width ? 0 : 4 * aside);
    if (distance >= least) continue;
    least = distance;
    best = tile;
  }
  return best;
}
