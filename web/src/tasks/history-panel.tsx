import { useInfiniteQuery } from "@tanstack/react-query";
import { useState } from "react";

import { api, body, type Task } from "../api/client";
import { useMe } from "../app";
import { Failed, Waiting } from "../ui/failed";
import { type Entry, told } from "./history";
import styles from "./tasks.module.css";

/** Milliseconds. What happens is in the history some seconds later. */
const LOOK_AGAIN = 10_000;

/** Asked for when it is opened: most people who open a task do not. */
export function History({ task }: { task: Task }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <details className={styles.history} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary><h2>History</h2></summary>
      {isOpen ? <Entries task={task} /> : null}
    </details>
  );
}

function Entries({ task }: { task: Task }) {
  const me = useMe().data;
  const path = { task_id: task.id };
  const history = useInfiniteQuery({
    queryKey: ["history", task.id],
    queryFn: ({ pageParam, signal }) =>
      body(api.GET("/api/tasks/{task_id}/activity", {
        params: { path, query: { limit: 30, ...(pageParam ? { cursor: pageParam } : {}) } }, signal,
      })),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.nextCursor ?? undefined,
    refetchInterval: LOOK_AGAIN,
  });
  if (history.isPending) return <Waiting failures={history.failureCount} />;
  if (!history.data) return <Failed error={history.error} again={() => void history.refetch()} />;
  const entries = history.data.pages.flatMap((page) => page.items) as Entry[];
  const deeds = told(entries, { me: me?.id, owner: task.owner });
  return (
    <>
      <ol aria-label="History">
        {deeds.map(({ id, words, occurredAt, times }) => (
          <li key={id}>
            <span>{words}{times > 1 ? <span className="small"> {times} times</span> : null}</span>
            <time className="small" dateTime={occurredAt} title={new Date(occurredAt).toLocaleString()}>{ago(new Date(occurredAt))}</time>
          </li>
        ))}
      </ol>
      {deeds.length ? null : <p className="small">Nothing yet. What happens appears here some seconds later.</p>}
      {history.hasNextPage ? (
        <button type="button" className="quiet" disabled={history.isFetchingNextPage} onClick={() => void history.fetchNextPage()}>Earlier</button>
      ) : null}
    </>
  );
}

const STEPS: readonly [Intl.RelativeTimeFormatUnit, number][] = [["day", 86_400], ["hour", 3600], ["minute", 60]];
const WORDS = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

/** "2 hours ago"; older than a week, its day. */
function ago(moment: Date): string {
  const seconds = (Date.now() - moment.getTime()) / 1000;
  if (seconds > 7 * 86_400) return moment.toLocaleDateString(undefined, { dateStyle: "medium" });
  for (const [unit, length] of STEPS) {
    if (seconds >= length) return WORDS.format(-Math.floor(seconds / length), unit);
  }
  return "just now";
}
