// What is shown of the tasks, and in which order.

import { useEffect, useState } from "react";

import { type Between, type Due, readDue, WHENS } from "./due";
import { type Filter, isNarrowed, PLAIN, PRIORITIES, SCOPES, SORTS, STATUSES } from "./filters";
import styles from "./tasks.module.css";

const ORDERS: Record<Filter["sort"], string> = {
  created: "newest first",
  updated: "last changed first",
  due: "due soonest first",
  priority: "most urgent first",
  title: "by title",
  position: "by hand",
};
const WHOSE: Record<Filter["scope"], string> = { own: "mine", shared: "shared with me", all: "mine and shared" };
const DUE: Record<Due["when"], string> = {
  "": "any date", overdue: "overdue", today: "due today", week: "due this week", between: "due between …",
};

interface Props {
  filter: Filter;
  put: (change: Partial<Filter>) => void;
}

export function FilterBar({ filter, put }: Props) {
  return (
    <search className={styles.filters}>
      <div>
        <SearchBox value={filter.q} put={(q) => put({ q })} />
        <span className={styles.views} role="group" aria-label="View">
          {(["list", "board"] as const).map((view) => (
            <button key={view} type="button" className="quiet" aria-pressed={filter.view === view} onClick={() => put({ view })}>
              {view === "list" ? "List" : "Board"}
            </button>
          ))}
        </span>
      </div>
      <div>
        <Choice name="Order" value={filter.sort} choices={SORTS.map((one) => [one, ORDERS[one]])} put={(sort) => put({ sort })} />
        <Choice name="Status" value={filter.status} choices={[["", "any status"], ...STATUSES.map(itself)]} put={(status) => put({ status })} />
        <Choice name="Priority" value={filter.priority} choices={[["", "any priority"], ...PRIORITIES.map(itself)]} put={(priority) => put({ priority })} />
        <DueChoice due={filter.due} put={(due) => put({ due })} />
        <Choice name="Whose" value={filter.scope} choices={SCOPES.map((one) => [one, WHOSE[one]])} put={(scope) => put({ scope })} />
        {filter.label ? (
          <button type="button" className={styles.label} onClick={() => put({ label: "" })} aria-label={`Without the label ${filter.label}`}>
            {filter.label} ×
          </button>
        ) : null}
        {isNarrowed(filter) ? (
          <button type="button" className="quiet" onClick={() => put({ ...PLAIN, view: filter.view, sort: filter.sort })}>Clear</button>
        ) : null}
      </div>
    </search>
  );
}

function itself<T extends string>(value: T): [T, string] {
  return [value, value];
}

function Choice<T extends string>(
  { name, value, choices, put }: { name: string; value: T; choices: readonly (readonly [T, string])[]; put: (value: T) => void },
) {
  return (
    <label><span className="unseen">{name}</span>
      <select value={value} onChange={(event) => put(event.target.value as T)}>
        {choices.map(([one, words]) => <option key={one} value={one}>{words}</option>)}
      </select>
    </label>
  );
}

function DueChoice({ due, put }: { due: Due; put: (due: Due) => void }) {
  const pick = (when: Due["when"]) => put(when === "between" ? { when, from: "", to: "" } : { when });
  return (
    <>
      <Choice name="Due" value={due.when} choices={(["", ...WHENS, "between"] as const).map((one) => [one, DUE[one]])} put={pick} />
      {due.when === "between" ? (
        <span className={styles.range}>
          {(["from", "to"] as const).map((side) => (
            <label key={side}><span className="unseen">{side === "from" ? "Due from" : "Due until"}</span>
              <input type="date" defaultValue={due[side]} max="9998-12-31" onChange={(event) => put(withDay(due, side, event.target.value))} />
            </label>
          ))}
        </span>
      ) : null}
    </>
  );
}

/** A year that is still being typed is no date yet. */
function withDay(due: Between, side: "from" | "to", day: string): Due {
  const next = { ...due, [side]: day };
  const read = readDue(`${next.from}..${next.to}`);
  return read.when === "between" ? read : { ...due, [side]: "" };
}

/** Milliseconds after the last key: a search for each letter would be thrown away anyway. */
const PAUSE = 250;

function SearchBox({ value, put }: { value: string; put: (value: string) => void }) {
  // What is typed and not asked for yet; null means that the URL says it.
  const [typed, setTyped] = useState<string | null>(null);
  useEffect(() => {
    if (typed === null) return undefined;
    const timer = setTimeout(() => {
      setTyped(null);
      put(typed);
    }, PAUSE);
    return () => clearTimeout(timer);
  });
  return (
    <label className={styles.search}><span className="unseen">Search</span>
      <input type="search" data-key="search" placeholder="Search" value={typed ?? value} maxLength={200} onChange={(event) => setTyped(event.target.value)} />
    </label>
  );
}
