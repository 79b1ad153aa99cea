/** Small components shared by the views. */
import type { ComponentChildren } from 'preact';
import { Notice } from '../../../../../agent/kit/controls.tsx';
import type { Condition } from '../../contract/terms.ts';
import { go } from '../router.ts';
import { viewWords } from '../words/views.ts';
import { words } from '../words/words.ts';

export const incidentPath = (no: number) => `/incidents/${no}`;

interface LinkProps {
  readonly to: string;
  readonly children: ComponentChildren;
  readonly class?: string;
  readonly onFollow?: () => void;
}

/** Link within the console. With a modifier key it opens a new tab, as every link. */
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

/** Shape of a condition; its name is next to it. */
export function Shape({ of }: { readonly of: Condition }) {
  return <i class={`d-shape ${of}`} aria-hidden="true" />;
}

export function Csv({ path }: { readonly path: string }) {
  return (
    <a class="button plain" href={path} download>
      {viewWords.value.table}
    </a>
  );
}

interface HeadProps {
  readonly title: string;
  readonly children?: ComponentChildren;
}

/** Title of a screen, with the actions on all of it. */
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
  readonly problem: string | undefined;
  readonly onAgain: () => void;
}

/** Shows that data is loading or outdated. */
export function LoadState({ has, problem, onAgain }: StateProps) {
  const { stale, reload } = viewWords.value;
  if (problem === undefined) return has ? null : <p role="status">{words.value.frame.loading}</p>;
  return (
    <Notice tone={has ? 'warn' : 'bad'} urgent>
      {has ? stale(problem) : problem}{' '}
      <button type="button" class="d-link" onClick={onAgain}>
        {reload}
      </button>
    </Notice>
  );
}

/** Lets a wide table scroll separately, also by keyboard. */
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
