import { lazy, Suspense, useEffect, useState } from "react";
import { useLocation, useSearch } from "wouter";

import type { Task } from "../api/client";
import { Failed, Waiting } from "../ui/failed";
import { useTitle } from "../ui/title";
import { FilterBar } from "./filter-bar";
import { type Filter, isNarrowed, PLAIN, read, written } from "./filters";
import { useMoving } from "./moving";
import { placeAt } from "./places";
import { useMove, useTasks } from "./queries";
import { QuickAdd } from "./quick-add";
import { TaskRow } from "./task-row";
import styles from "./tasks.module.css";

const Board = lazy(() => import("./board"));

export function TasksPage() {
  useTitle("Tasks");
  const filter = read(useSearch());
  const [, go] = useLocation();
  const tasks = useTasks(filter, useNow());
  const items = tasks.data?.pages.flatMap((page) => page.items) ?? [];
  const put = (change: Partial<Filter>) => go(`/${written({ ...filter, ...change })}`, { replace: true });
  // Others' tasks stand in orders of their own.
  const isByHand = filter.sort === "position" && filter.scope === "own";

  return (
    <>
      <h1 className="unseen">Tasks</h1>
      <QuickAdd />
      <FilterBar filter={filter} put={put} />
      {tasks.isError ? <Failed error={tasks.error} again={() => void tasks.refetch()} /> : null}
      {tasks.isSuccess && items.length === 0 ? <Nothing filter={filter} put={put} /> : null}
      <div aria-busy={tasks.isPlaceholderData} className={styles.shown}>
        {filter.view === "board" ? (
          <Suspense><Board tasks={items} isByHand={isByHand} /></Suspense>
        ) : (
          <List tasks={items} isByHand={isByHand} />
        )}
      </div>
      {tasks.isPending && !tasks.isError ? <Waiting failures={tasks.failureCount} /> : null}
      {tasks.hasNextPage ? (
        <button type="button" className="quiet" disabled={tasks.isFetchingNextPage} onClick={() => void tasks.fetchNextPage()}>
          More tasks
        </button>
      ) : null}
    </>
  );
}

function List({ tasks, isByHand }: { tasks: readonly Task[]; isByHand: boolean }) {
  const move = useMove();
  const columns = [{ id: "list", name: "Tasks", tasks }];
  const moving = useMoving(columns, isByHand, (id, gap) => {
    const task = tasks.find((one) => one.id === id);
    const place = placeAt(columns, id, gap);
    if (task && place) move.mutate({ task, status: task.status, place });
  });
  return (
    <>
      <ul className={styles.list} aria-label="Tasks" {...moving.column("list")}>
        {tasks.map((task) => <TaskRow key={task.id} task={task} moving={isByHand ? moving : undefined} />)}
      </ul>
      {moving.voice}
    </>
  );
}

function Nothing({ filter, put }: { filter: Filter; put: (change: Partial<Filter>) => void }) {
  if (!isNarrowed(filter)) {
    return <p className={styles.hint}>No tasks yet. Write one above; pictures can be dropped or pasted there.</p>;
  }
  return (
    <p className={styles.hint}>
      Nothing fits. <button type="button" className="quiet" onClick={() => put({ ...PLAIN, view: filter.view, sort: filter.sort })}>Show all</button>
    </p>
  );
}

/** Milliseconds; a moment for each glance would be another list each time. */
const OLD = 10 * 60_000;

/** The present, as far as lists of due dates are asked for by it; renewed when one comes back. */
function useNow(): Date {
  const [now, setNow] = useState(() => new Date());
  useEffect(() => {
    const look = () => setNow((before) => (Date.now() - before.getTime() > OLD ? new Date() : before));
    document.addEventListener("visibilitychange", look);
    return () => document.removeEventListener("visibilitychange", look);
  }, []);
  return now;
}
