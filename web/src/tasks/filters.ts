// What the list shows, kept in the URL, so that it can be reloaded, shared and gone back to.

export type Status = "open" | "doing" | "done";
export type Priority = "low" | "normal" | "high";
export const STATUSES: readonly Status[] = ["open", "doing", "done"];
export const PRIORITIES: readonly Priority[] = ["low", "normal", "high"];
const SORTS = ["created", "updated", "due", "position"] as const;
const SCOPES = ["own", "shared", "all"] as const;

export interface Filter {
  view: "list" | "board";
  q: string;
  status: Status | "";
  priority: Priority | "";
  label: string;
  sort: (typeof SORTS)[number];
  scope: (typeof SCOPES)[number];
}

export const PLAIN: Filter = {
  view: "list", q: "", status: "", priority: "", label: "", sort: "created", scope: "own",
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
    sort: one("sort", SORTS, "created"),
    scope: one("scope", SCOPES, "own"),
  };
}

export function written(filter: Filter): string {
  const kept = Object.entries(filter).filter(([name, value]) => value !== PLAIN[name as keyof Filter]);
  const text = new URLSearchParams(kept).toString();
  return text ? `?${text}` : "";
}

/** As the API's query; a search without a letter or digit would be refused, so it is none. */
export function asked(filter: Filter): Record<string, string | string[]> {
  const query: Record<string, string | string[]> = { sort: filter.sort, scope: filter.scope };
  if (/[\p{L}\p{N}]/u.test(filter.q)) query.q = filter.q;
  if (filter.status) query.status = [filter.status];
  if (filter.priority) query.priority = [filter.priority];
  if (filter.label) query.label = [filter.label];
  return query;
}
