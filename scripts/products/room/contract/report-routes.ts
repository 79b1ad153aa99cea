/** Defines the routes of the list of closed incidents and of the week, a part of ROUTES (api.ts). */
import { ClosedPage, ClosedQuery } from './closed.ts';
import type { Route } from './route.ts';
import { Week, WeekQuery } from './week.ts';

export const REPORT_ROUTES = {
  closed: {
    method: 'GET',
    path: '/api/closed',
    summary: 'closed incidents, the last closed first',
    action: 'see-incidents',
    query: ClosedQuery,
    gives: ClosedPage,
  },
  closedCsv: {
    method: 'GET',
    path: '/api/closed.csv',
    summary: 'the same as a table, without a limit',
    action: 'export',
    query: ClosedQuery,
    gives: 'text/csv',
  },
  week: {
    method: 'GET',
    path: '/api/week',
    summary: 'a week: alerts, verdicts, times to claim and to close, cameras out of service',
    action: 'see-figures',
    query: WeekQuery,
    gives: Week,
  },
  weekCsv: {
    method: 'GET',
    path: '/api/week.csv',
    summary: 'the rules of the week as a table, without a limit',
    action: 'export',
    query: WeekQuery,
    gives: 'text/csv',
  },
} as const satisfies Readonly<Record<string, Route>>;
