import { Link } from "wouter";

import type { Task } from "../api/client";
import { Problem } from "../api/problem";
import { tell } from "../ui/notices";
import { useChange, useDelete } from "./queries";
import styles from "./tasks.module.css";

export function TaskRow({ task }: { task: Task }) {
  const change = useChange();
  const remove = useDelete();
  const may = task.role !== "viewer";
  const done = task.status === "done";
  const put = (fields: Parameters<typeof change.mutate>[0]["change"]) =>
    change.mutate({ id: task.id, change: fields }, {
      onError: (error) => tell(error instanceof Problem ? error.words : "It was not changed."),
    });
  return (
    <li className={styles.row} data-status={task.status}>
      <input
        type="checkbox" checked={done} disabled={!may} aria-label={`Done: ${task.title}`}
        onChange={() => put({ status: done ? "open" : "done" })}
      />
      <Link href={`/tasks/${task.id}`} className={styles.title}>{task.title}</Link>
      <span className={styles.facts}>
        {task.priority === "normal" ? null : <span className={styles[task.priority]}>{task.priority}</span>}
        {task.labels.map((label) => (
          <Link key={label} href={`/?label=${encodeURIComponent(label)}`} className={styles.label}>{label}</Link>
        ))}
        {task.dueAt ? <Due at={task.dueAt} done={done} /> : null}
        {task.mediaCount ? <span>{task.mediaCount} {task.mediaCount === 1 ? "picture" : "pictures"}</span> : null}
        {task.commentCount ? <span>{task.commentCount} {task.commentCount === 1 ? "comment" : "comments"}</span> : null}
        {task.role === "owner" ? null : <span>shared</span>}
      </span>
      {task.role === "owner" ? (
        <button type="button" className="quiet" aria-label={`Delete ${task.title}`} onClick={() => remove(task)}>Delete</button>
      ) : null}
    </li>
  );
}

export function Due({ at, done }: { at: string; done: boolean }) {
  const late = !done && new Date(at) < new Date();
  const words = new Date(at).toLocaleDateString(undefined, { day: "numeric", month: "short", year: "numeric" });
  return <time dateTime={at} className={late ? "error" : ""}>{late ? "was due" : "due"} {words}</time>;
}
