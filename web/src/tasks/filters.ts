// What the list shows, kept in the URL, so that it can be reloaded, shared and gone back to.

import { type Due, dueBetween, NO_DUE, readDue, writtenDue } from "./due";

export type Status = "open" | "doing" | "done";
export type Priority = "low" | "normal" | "high";
export const STATUSES: readonly Status[] = ["open", "doing", "done"];
export const PRIORITIES: readonly Priority[] = ["low", "normal", "high"];
export const SORTS = ["created", "updated", "due", "priority", "title", "position"] as const;
export const SCOPES = ["own", "shared", "all"] as const;

export interface Filter {
  view: "list" | "board";
  q: string;
  status: Status | "";
  priority: Priority | "";
  label: string;
  due: Due;
  sort: (typeof SORTS)[number];
  scope: (typeof SCOPES)[number];
}

export const PLAIN: Filter = {
  view: "list", q: "", status: "", priority: "", label: "", due: NO_DUE, sort: "created", scope: "own",
};

/** Unknown values are as if they were not there: a URL may be old, or made up. */
export function read(search: string): Filter {
  const given = new URLSearchParams(search);
  const one = <T extends string>(name: string, allowed: readonly T[], otherwise: T): T =>
    allowed.find((value) => value === given.get(name)) ?? otherwise;
  return {
    view: one("view", ["list", "board"], "list"),
    q: (given.get("q") ?? "").slice(0, 200),
    status: one("status", ["", ...STATUSES], ""),
    priority: one("priority", ["", ...PRIORITIES], ""),
    label: (given.get("label") ?? "").slice(0, 40),
    due: readDue(given.get("due") ?? ""),
    sort: one("sort", SORTS, "created"),
    scope: one("scope", SCOPES, "own"),
  };
}

export function written(filter: Filter): string {
  const kept = Object.entries({ ...filter, due: writtenDue(filter.due) })
    .filter(([name, value]) => value !== (name === "due" ? "" : PLAIN[name as keyof Filter]));
  const text = new URLSearchParams(kept).toString();
  return text ? `?${text}` : "";
}

/** Whether fewer tasks are shown than there are. */
export function isNarrowed({ q, status, priority, label, due, scope }: Filter): boolean {
  return Boolean(q || status || priority || label || writtenDue(due)) || scope !== "own";
}

/** As the API's query; a search without a letter or digit would be refused, so it is none. */
export function asked(filter: Filter, now: Date): Record<string, string | string[]> {
  const query: Record<string, string | string[]> = { sort: filter.sort, scope: filter.scope };
  if (/[\p{L}\p{N}]/u.test(filter.q)) query.q = filter.q;
  if (filter.status) query.status = [filter.status];
  if (filter.priority) query.priority = [filter.priority];
  if (filter.label) query.label = [filter.label];
  const [from, to] = dueBetween(filter.due, now);
  if (from) query.dueFrom = from.toISOString();
  if (to) query.dueTo = to.toISOString();
  // What is done is no longer late.
  if (filter.due.when === "overdue" && !filter.status) query.status = ["open", "doing"];
  return query;
}
