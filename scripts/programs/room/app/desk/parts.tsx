/** Small things that these screens share. */
import type { ComponentChildren } from 'preact';
import { Notice } from '../../../../../agent/kit/controls.tsx';
import type { Condition } from '../../contract/terms.ts';
import { go } from '../router.ts';
import { desk } from '../words/desk.ts';
import { words } from '../words/words.ts';

export const incidentPath = (no: number) => `/incidents/${no}`;

interface LinkProps {
  readonly to: string;
  readonly children: ComponentChildren;
  readonly class?: string;
  readonly onFollow?: () => void;
}

/** Within the console; with a key held a new tab opens, as with every link. */
export function Link({ to, children, onFollow, ...rest }: LinkProps) {
  return (
    <a
      {...rest}
      href={to}
      onClick={(event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        onFollow?.();
        go(to);
      }}
    >
      {children}
    </a>
  );
}

/** The shape of a condition; its word stands beside it. */
export function Shape({ of }: { readonly of: Condition }) {
  return <i class={`d-shape ${of}`} aria-hidden="true" />;
}

export function Csv({ path }: { readonly path: string }) {
  return (
    <a class="button plain" href={path} download>
      {desk.value.table}
    </a>
  );
}

interface HeadProps {
  readonly title: string;
  readonly children?: ComponentChildren;
}

/** Title of a screen, with what can be done on all of it. */
export function Head({ title, children }: HeadProps) {
  return (
    <header class="desk-head">
      <h1 tabIndex={-1}>{title}</h1>
      <div class="desk-acts">{children}</div>
    </header>
  );
}

interface StateProps {
  readonly has: boolean;
  readonly fault: string | undefined;
  readonly onAgain: () => void;
}

/** Says that nothing has come yet, or that what is shown is old. */
export function LoadState({ has, fault, onAgain }: StateProps) {
  const { stale, again } = desk.value;
  if (fault === undefined) return has ? null : <p role="status">{words.value.frame.loading}</p>;
  return (
    <Notice tone={has ? 'warn' : 'bad'} urgent>
      {has ? stale(fault) : fault}{' '}
      <button type="button" class="d-link" onClick={onAgain}>
        {again}
      </button>
    </Notice>
  );
}

/** A wide table scrolls by itself, and by key. */
export function Scroll({
  label,
  children,
}: {
  readonly label: string;
  readonly children: ComponentChildren;
}) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by key (WCAG 2.1.1)
    <section class="d-scroll" aria-label={label} tabIndex={0}>
      {children}
    </section>
  );
}
