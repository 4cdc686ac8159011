// One column for each status. Cards are dragged, or moved by the buttons on them.

import { type DragEvent, useState } from "react";
import { Link } from "wouter";

import type { Task } from "../api/client";
import { Problem } from "../api/problem";
import { tell } from "../ui/notices";
import { type Status, STATUSES } from "./filters";
import { useChange } from "./queries";
import styles from "./tasks.module.css";

const NAMES: Record<Status, string> = { open: "Open", doing: "Doing", done: "Done" };
const KIND = "application/x-snaptask-task";

export default function Board({ tasks }: { tasks: readonly Task[] }) {
  const change = useChange();
  const move = (id: string, status: Status) => {
    const task = tasks.find((one) => one.id === id);
    if (!task || task.status === status || task.role === "viewer") return;
    change.mutate({ id, change: { status } }, {
      onError: (error) => tell(error instanceof Problem ? error.words : "It was not moved."),
    });
  };
  return (
    <div className={styles.board}>
      {STATUSES.map((status) => (
        <Column key={status} status={status} tasks={tasks.filter((task) => task.status === status)} move={move} />
      ))}
    </div>
  );
}

interface ColumnProps {
  status: Status;
  tasks: readonly Task[];
  move: (id: string, status: Status) => void;
}

function Column({ status, tasks, move }: ColumnProps) {
  const [isOver, setOver] = useState(false);
  const drop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    move(event.dataTransfer.getData(KIND), status);
  };
  return (
    <section
      className={`${styles.column} ${isOver ? styles.over : ""}`} aria-label={NAMES[status]}
      onDragOver={(event) => { event.preventDefault(); setOver(true); }}
      onDragLeave={() => setOver(false)} onDrop={drop}
    >
      <h2>{NAMES[status]} <span className="small">{tasks.length}</span></h2>
      <ul>
        {tasks.map((task) => (
          <li
            key={task.id} className={styles.card} draggable
            onDragStart={(event) => event.dataTransfer.setData(KIND, task.id)}
          >
            <Link href={`/tasks/${task.id}`} className={styles.title}>{task.title}</Link>
            <span className={styles.moves}>
              {STATUSES.filter((one) => one !== status && task.role !== "viewer").map((one) => (
                <button key={one} type="button" className="quiet" aria-label={`Move ${task.title} to ${NAMES[one]}`} onClick={() => move(task.id, one)}>
                  {NAMES[one]}
                </button>
              ))}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}
