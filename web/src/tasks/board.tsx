// One column for each status. Cards are dragged, moved by keys, or by the buttons on them.

import { Link } from "wouter";

import type { Task } from "../api/client";
import { type Status, STATUSES } from "./filters";
import { type Moving, useMoving } from "./moving";
import { type Gap, placeAt } from "./places";
import { useMove } from "./queries";
import { Facts } from "./task-row";
import styles from "./tasks.module.css";

const NAMES: Record<Status, string> = { open: "Open", doing: "Doing", done: "Done" };

interface Props {
  tasks: readonly Task[];
  /** In the order by hand a card has its place in the column, in any other only its column. */
  isByHand: boolean;
}

export default function Board({ tasks, isByHand }: Props) {
  const move = useMove();
  const columns = STATUSES.map((id) => ({
    id, name: NAMES[id], tasks: tasks.filter(({ status }) => status === id),
  }));
  const put = (id: string, status: Status, gap?: Gap) => {
    const task = tasks.find((one) => one.id === id);
    if (!task) return;
    const place = isByHand && gap && task.role === "owner" ? placeAt(columns, id, gap) : null;
    if (place || status !== task.status) move.mutate({ task, status, place });
  };
  const moving = useMoving(columns, isByHand, (id, gap) => put(id, gap.column as Status, gap));
  return (
    <div className={styles.board}>
      {columns.map((column) => (
        <section key={column.id} className={styles.column} aria-label={column.name} {...moving.column(column.id)}>
          <h2>{column.name} <span className="small">{column.tasks.length}</span></h2>
          <ul>
            {column.tasks.map((task) => (
              <Card key={task.id} task={task} moving={moving} put={(status) => put(task.id, status)} />
            ))}
          </ul>
        </section>
      ))}
      {moving.voice}
    </div>
  );
}

function Card({ task, moving, put }: { task: Task; moving: Moving; put: (status: Status) => void }) {
  const may = task.role !== "viewer";
  return (
    <li className={styles.card} {...(may ? moving.item(task.id, task.status) : {})}>
      <div className={styles.head}>
        {may ? moving.grip(task.id, task.title) : null}
        <Link href={`/tasks/${task.id}`} className={styles.title} draggable={false}>{task.title}</Link>
      </div>
      <Facts task={task} />
      {may ? (
        <span className={styles.moves}>
          {STATUSES.filter((one) => one !== task.status).map((one) => (
            <button key={one} type="button" className="quiet" aria-label={`Move ${task.title} to ${NAMES[one]}`} onClick={() => put(one)}>
              {NAMES[one]}
            </button>
          ))}
        </span>
      ) : null}
    </li>
  );
}
