/**
 * Shows every camera as a small tile, grouped by site, the worst first.
 *
 * A tile is drawn by a gradient without child nodes, and unchanged sites are not compared again. So 1,500 tiles cost a
 * browser one frame.
 */
import { useSignalEffect } from '@preact/signals';
import type { VNode } from 'preact';
import { useRef } from 'preact/hooks';
import type { Camera } from '../../contract/camera.ts';
import { viewWords } from '../words/views.ts';
import { keyOf, rankOf, selectedKey } from './fleet.ts';
import { count } from './view-texts.ts';

interface Site {
  readonly name: string;
  /** Worst first. */
  readonly cameras: Camera[];
}

const WELL = rankOf('well');

/** Groups cameras by site. Sites with the worst cameras come first, then those with the most of them. */
function bySite(cameras: readonly Camera[]): Site[] {
  const sites = new Map<string, Site>();
  for (const camera of cameras) {
    const site = sites.get(camera.site);
    if (site === undefined) sites.set(camera.site, { name: camera.site, cameras: [camera] });
    else site.cameras.push(camera);
  }
  const worst = ({ cameras: [first] }: Site) => (first === undefined ? WELL : rankOf(first.condition));
  const worstCount = (site: Site) =>
    site.cameras.filter(({ condition }) => rankOf(condition) === worst(site)).length;
  return [...sites.values()].sort(
    (a, b) =>
      worst(a) - worst(b) ||
      (worst(a) === WELL ? 0 : worstCount(b) - worstCount(a)) ||
      (a.name < b.name ? -1 : 1),
  );
}

const idOf = (key: string) => `camera-${key}`;

interface Props {
  /** Worst first. */
  readonly cameras: readonly Camera[];
}

export function Tiles({ cameras }: Props) {
  const grid = useRef<HTMLDivElement>(null);
  const tileCache = useRef(new Map<string, { as: string; node: VNode }>());
  const { cameras: words, conditions } = viewWords.value;
  const nodes = bySite(cameras).map((site) => {
    const as = `${words.all}${site.cameras.map(({ box, condition }) => `${box}:${rankOf(condition)}`).join()}`;
    const before = tileCache.current.get(site.name);
    if (before?.as === as) return before.node;
    const node = <SiteTiles key={site.name} site={site} words={conditions} />;
    tileCache.current.set(site.name, { as, node });
    return node;
  });
  // Marks only the affected node, instead of updating all.
  useSignalEffect(() => {
    const key = selectedKey.value;
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
      aria-activedescendant={selectedKey.value === undefined ? undefined : idOf(selectedKey.value)}
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
      aria-label={viewWords.value.cameras.group(name, count(out), count(cameras.length))}
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

/** Sets the title on demand, because 1,500 titles would be created in vain. */
function name(target: EventTarget | null): void {
  if (target instanceof HTMLElement && target.role === 'option') target.title = target.ariaLabel ?? '';
}

function pick(target: EventTarget | null): void {
  if (target instanceof HTMLElement && target.role === 'option')
    selectedKey.value = target.id.slice(idOf('').length);
}

/** Moves the selection. Returns true if the key was handled. */
function move(grid: HTMLElement, key: string): boolean {
  const tiles = [...grid.querySelectorAll<HTMLElement>('[role=option]')];
  const at = tiles.findIndex(({ id }) => selectedKey.value !== undefined && id === idOf(selectedKey.value));
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
  return nextRowTile(tiles, now, key === 'ArrowDown' ? 1 : -1);
}

/** Returns the tile of the next row in that direction that is horizontally closest. */
function nextRowTile(tiles: readonly HTMLElement[], now: HTMLElement, way: 1 | -1): HTMLElement {
  const bounds = now.getBoundingClientRect();
  let best = now;
  let least = Number.POSITIVE_INFINITY;
  for (const tile of tiles) {
    const { left, top, width } = tile.getBoundingClientRect();
    const rows = (top - bounds.top) * way;
    if (rows < 1) continue;
    const aside = Math.abs(left - bounds.left);
    // A tile in another column of sites counts only if nothing else is closer.
    const distance = rows + (aside < width ? 0 : 4 * aside);
    if (distance >= least) continue;
    least = distance;
    best = tile;
  }
  return best;
}
