import { lazy, Suspense, useEffect, useState } from "react";
import { useLocation, useSearch } from "wouter";

import { Problem } from "../api/problem";
import { type Filter, PLAIN, PRIORITIES, read, STATUSES, written } from "./filters";
import { useTasks } from "./queries";
import { QuickAdd } from "./quick-add";
import { TaskRow } from "./task-row";
import styles from "./tasks.module.css";

const Board = lazy(() => import("./board"));

export function TasksPage() {
  const filter = read(useSearch());
  const [, go] = useLocation();
  const tasks = useTasks(filter);
  const items = tasks.data?.pages.flatMap((page) => page.items) ?? [];
  const put = (change: Partial<Filter>) => go(`/${written({ ...filter, ...change })}`, { replace: true });

  return (
    <>
      <h1 className="unseen">Tasks</h1>
      <QuickAdd />
      <Filters filter={filter} put={put} />
      {tasks.isError ? <p className="error" role="alert">{said(tasks.error)}</p> : null}
      {tasks.isSuccess && items.length === 0 ? (
        <p className={styles.hint}>
          {written(filter) ? "Nothing fits." : "No tasks yet. Write one above; pictures can be dropped or pasted there."}
        </p>
      ) : null}
      {filter.view === "board" ? (
        <Suspense><Board tasks={items} /></Suspense>
      ) : (
        <ul className={styles.list} aria-label="Tasks">
          {items.map((task) => <TaskRow key={task.id} task={task} />)}
        </ul>
      )}
      {tasks.hasNextPage ? (
        <button type="button" className="quiet" disabled={tasks.isFetchingNextPage} onClick={() => void tasks.fetchNextPage()}>
          More tasks
        </button>
      ) : null}
    </>
  );
}

function said(error: unknown): string {
  return error instanceof Problem ? error.words : "Something unforeseen happened.";
}

function Filters({ filter, put }: { filter: Filter; put: (change: Partial<Filter>) => void }) {
  return (
    <search className={styles.filters}>
      <SearchBox value={filter.q} put={(q) => put({ q })} />
      <Choice name="Status" value={filter.status} all="any status" values={STATUSES} put={(status) => put({ status })} />
      <Choice name="Priority" value={filter.priority} all="any priority" values={PRIORITIES} put={(priority) => put({ priority })} />
      <label><span className="unseen">Order</span>
        <select value={filter.sort} onChange={(e) => put({ sort: e.target.value as Filter["sort"] })}>
          <option value="created">newest first</option>
          <option value="updated">last changed first</option>
          <option value="due">due soonest first</option>
          <option value="position">by hand</option>
        </select>
      </label>
      <label><span className="unseen">Whose</span>
        <select value={filter.scope} onChange={(e) => put({ scope: e.target.value as Filter["scope"] })}>
          <option value="own">mine</option>
          <option value="shared">shared with me</option>
          <option value="all">all</option>
        </select>
      </label>
      {filter.label ? (
        <button type="button" className={styles.label} onClick={() => put({ label: "" })} aria-label={`Without the label ${filter.label}`}>
          {filter.label} ×
        </button>
      ) : null}
      <span className={styles.views} role="group" aria-label="View">
        {(["list", "board"] as const).map((view) => (
          <button key={view} type="button" className="quiet" aria-pressed={filter.view === view} onClick={() => put({ view })}>
            {view === "list" ? "List" : "Board"}
          </button>
        ))}
      </span>
      {written({ ...filter, view: "list" }) ? (
        <button type="button" className="quiet" onClick={() => put({ ...PLAIN, view: filter.view })}>Clear</button>
      ) : null}
    </search>
  );
}

function Choice<T extends string>(
  { name, value, all, values, put }: { name: string; value: T | ""; all: string; values: readonly T[]; put: (value: T | "") => void },
) {
  return (
    <label><span className="unseen">{name}</span>
      <select value={value} onChange={(event) => put(event.target.value as T | "")}>
        <option value="">{all}</option>
        {values.map((one) => <option key={one}>{one}</option>)}
      </select>
    </label>
  );
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
      <input type="search" placeholder="Search" value={typed ?? value} maxLength={200} onChange={(event) => setTyped(event.target.value)} />
    </label>
  );
}
