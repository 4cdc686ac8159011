// One task: its words, facts, pictures, comments, members and history.

import { type SyntheticEvent, lazy, Suspense, useEffect, useRef, useState } from "react";
import { Link, useLocation, useSearch } from "wouter";

import type { TaskWithMedia } from "../api/client";
import { Problem } from "../api/problem";
import { Failed, Waiting } from "../ui/failed";
import { tell, tellProblem } from "../ui/notices";
import { useTitle } from "../ui/title";
import { Comments } from "./comments";
import { endOf, isDay, writtenDay } from "./due";
import { PRIORITIES, STATUSES } from "./filters";
import { History } from "./history-panel";
import { Members } from "./members";
import { Pictures } from "./pictures";
import { type Change, useChange, useDelete, useTask } from "./queries";
import styles from "./tasks.module.css";

const Lightbox = lazy(() => import("../media/lightbox"));

export default function TaskPage({ id }: { id: string }) {
  const asked = useTask(id);
  useTitle(asked.data?.title ?? "Task");
  const [, go] = useLocation();
  const open = new URLSearchParams(useSearch()).get("picture");
  if (asked.error instanceof Problem && asked.error.status === 404) {
    return <p className={styles.hint}>There is no such task. <Link href="/">To the tasks</Link></p>;
  }
  // What is shown stays, although it could not be asked for anew.
  if (asked.isError && !asked.data) return <Failed error={asked.error} again={() => void asked.refetch()} />;
  if (!asked.data) return <Waiting failures={asked.failureCount} />;
  const task = asked.data;
  const at = (picture?: string) => `/tasks/${id}${picture ? `?picture=${picture}` : ""}`;
  return (
    <>
      <p><Link href="/">← Tasks</Link></p>
      <div className={styles.page}>
        <div className={styles.panel}>
          <Words key={task.id} task={task} />
          <Pictures task={task} show={(picture) => go(at(picture))} />
          <Comments task={task} />
          <History task={task} />
        </div>
        <aside className={styles.panel} aria-label="About this task">
          <Facts task={task} />
          {task.role === "owner" ? <Members task={task} /> : null}
        </aside>
      </div>
      {open ? (
        <Suspense>
          <Lightbox items={task.media.filter(({ state }) => state === "ready")} open={open} task={id} show={(picture) => go(at(picture), { replace: true })} close={() => go(at())} />
        </Suspense>
      ) : null}
    </>
  );
}

type Tagged = TaskWithMedia & { etag: string | null };

/** Title and description are saved together, against the state they were read in. */
function Words({ task }: { task: Tagged }) {
  const change = useChange();
  const [draft, setDraft] = useState<{ title: string; description: string; etag: string | null } | null>(null);
  const [isStale, setStale] = useState(false);
  const may = task.role !== "viewer";
  const shown = draft ?? task;
  const edit = (part: Partial<Pick<Tagged, "title" | "description">>) =>
    setDraft((before) => ({ title: task.title, description: task.description, etag: task.etag, ...before, ...part }));

  async function save(event?: SyntheticEvent, force = false) {
    event?.preventDefault();
    if (!draft || !draft.title.trim() || change.isPending) return;
    const { etag, ...fields } = draft;
    try {
      const saved = await change.mutateAsync({ id: task.id, change: fields, etag: force ? null : etag });
      // What was typed meanwhile stands on what was saved.
      setDraft((now) => (now && now !== draft ? { ...now, etag: saved.etag } : null));
      setStale(false);
    } catch (error) {
      if (error instanceof Problem && error.status === 412) setStale(true);
      else tellProblem(error);
    }
  }

  return (
    <form className={styles.panel} onSubmit={(event) => void save(event)}>
      <label>Title
        <input value={shown.title} readOnly={!may} required maxLength={200} onChange={(event) => edit({ title: event.target.value })} />
      </label>
      <label>Description
        <textarea value={shown.description} readOnly={!may} maxLength={10_000} rows={5} onChange={(event) => edit({ description: event.target.value })} />
      </label>
      {isStale ? (
        <div className={styles.stale} role="alert">
          <span>Somebody changed this task while you were writing.</span>
          <button type="button" onClick={() => void save(undefined, true)}>Keep mine</button>
          <button type="button" className="quiet" onClick={() => { setDraft(null); setStale(false); }}>Take theirs</button>
        </div>
      ) : draft ? (
        <div className={styles.bar}>
          <button type="submit" disabled={change.isPending || !draft.title.trim()}>Save</button>
          <button type="button" className="quiet" onClick={() => setDraft(null)}>Cancel</button>
        </div>
      ) : null}
    </form>
  );
}

function Facts({ task }: { task: Tagged }) {
  const change = useChange();
  const remove = useDelete();
  const [, go] = useLocation();
  const may = task.role !== "viewer";
  const put = (fields: Change) => change.mutate({ id: task.id, change: fields }, {
    onError: (error) => tell(error instanceof Problem ? error.words : "It was not changed."),
  });
  return (
    <>
      <h2 className="unseen">Facts</h2>
      <label>Status
        <select value={task.status} disabled={!may} onChange={(event) => put({ status: event.target.value as Tagged["status"] })}>
          {STATUSES.map((one) => <option key={one}>{one}</option>)}
        </select>
      </label>
      <label>Priority
        <select value={task.priority} disabled={!may} onChange={(event) => put({ priority: event.target.value as Tagged["priority"] })}>
          {PRIORITIES.map((one) => <option key={one}>{one}</option>)}
        </select>
      </label>
      <DueField dueAt={task.dueAt} may={may} put={(dueAt) => put({ dueAt })} />
      <Labels labels={task.labels} may={may} put={(labels) => put({ labels })} />
      {task.role === "owner" ? (
        <button type="button" className="quiet bad" onClick={() => { remove(task); go("/"); }}>Delete the task</button>
      ) : <p className="small">Shared with you; you may {task.role === "editor" ? "change it" : "look"}.</p>}
    </>
  );
}

/** Told when it is left or by Enter, because every key that is typed makes another date of it. */
function DueField({ dueAt, may, put }: { dueAt: string | null; may: boolean; put: (dueAt: string | null) => void }) {
  const field = useRef<HTMLInputElement>(null);
  const shown = dueAt ? writtenDay(dueAt) : "";
  useEffect(() => { field.current!.value = shown; }, [shown]);
  const save = (input: HTMLInputElement) => {
    const { value } = input;
    if (value === shown && !input.validity.badInput) return;
    if (isDay(value)) put(endOf(value));
    else if (!value && !input.validity.badInput) put(null);
    else input.value = shown;
  };
  return (
    <label>Due
      <input ref={field} type="date" disabled={!may} defaultValue={shown} max="9998-12-31"
        onBlur={(event) => save(event.currentTarget)}
        onKeyDown={(event) => { if (event.key === "Enter") save(event.currentTarget); }} />
    </label>
  );
}

function Labels({ labels, may, put }: { labels: readonly string[]; may: boolean; put: (labels: string[]) => void }) {
  const [text, setText] = useState("");
  const add = (event: SyntheticEvent) => {
    event.preventDefault();
    const label = text.trim();
    if (label && !labels.includes(label)) put([...labels, label]);
    setText("");
  };
  return (
    <form onSubmit={add}>
      <span className={styles.facts}>
        {labels.map((label) => (
          <button key={label} type="button" disabled={!may} className={styles.label} aria-label={`Remove the label ${label}`} onClick={() => put(labels.filter((one) => one !== label))}>
            {label} ×
          </button>
        ))}
      </span>
      {may && labels.length < 20 ? (
        <label>Add a label
          <input value={text} maxLength={40} onChange={(event) => setText(event.target.value)} />
        </label>
      ) : null}
    </form>
  );
}
