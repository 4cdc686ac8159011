import { Link } from "wouter";

import type { Task } from "../api/client";
import { Problem } from "../api/problem";
import { tell } from "../ui/notices";
import type { Moving } from "./moving";
import { dayWords } from "./due";
import { useChange, useDelete } from "./queries";
import styles from "./tasks.module.css";

export function TaskRow({ task, moving }: { task: Task; moving: Moving | undefined }) {
  const change = useChange();
  const remove = useDelete();
  const may = task.role !== "viewer";
  const done = task.status === "done";
  const put = (fields: Parameters<typeof change.mutate>[0]["change"]) =>
    change.mutate({ id: task.id, change: fields }, {
      onError: (error) => tell(error instanceof Problem ? error.words : "It was not changed."),
    });
  return (
    <li className={styles.row} data-status={task.status} {...(moving?.item(task.id, "list") ?? {})}>
      {moving?.grip(task.id, task.title)}
      <input
        type="checkbox" checked={done} disabled={!may} aria-label={`Done: ${task.title}`}
        onChange={() => put({ status: done ? "open" : "done" })}
      />
      <Link href={`/tasks/${task.id}`} className={styles.title} draggable={false}>{task.title}</Link>
      <Facts task={task} />
      {task.role === "owner" ? (
        <button type="button" className="quiet" aria-label={`Delete ${task.title}`} onClick={() => remove(task)}>Delete</button>
      ) : null}
    </li>
  );
}

/** What is worth knowing of a task before it is opened. */
export function Facts({ task }: { task: Task }) {
  const counted = (count: number, word: string) => (count ? <span>{count} {count === 1 ? word : `${word}s`}</span> : null);
  return (
    <span className={styles.facts}>
      {task.priority === "normal" ? null : <span className={styles[task.priority]}>{task.priority}</span>}
      {task.labels.map((label) => (
        <Link key={label} href={`/?label=${encodeURIComponent(label)}`} className={styles.label} draggable={false}>{label}</Link>
      ))}
      {task.dueAt ? <Due at={task.dueAt} done={task.status === "done"} /> : null}
      {counted(task.mediaCount, "picture")}
      {counted(task.commentCount, "comment")}
      {task.role === "owner" ? null : <span>shared</span>}
    </span>
  );
}

function Due({ at, done }: { at: string; done: boolean }) {
  const late = !done && new Date(at) < new Date();
  return <time dateTime={at} className={late ? "error" : ""}>{late ? "was due" : "due"} {dayWords(new Date(at))}</time>;
}
