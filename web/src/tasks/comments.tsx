import { useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { type SyntheticEvent, useRef, useState } from "react";

import { api, body, type Task } from "../api/client";
import { useMe } from "../app";
import { Failed } from "../ui/failed";
import { putBack } from "../ui/form";
import { tellProblem } from "../ui/notices";
import { person } from "./history";
import styles from "./tasks.module.css";

export function Comments({ task }: { task: Task }) {
  const client = useQueryClient();
  const me = useMe().data;
  const path = { task_id: task.id };
  const [text, setText] = useState("");
  const [isSending, setSending] = useState(false);
  // One for each comment that is written: sent twice, it is made once.
  const key = useRef(crypto.randomUUID());
  const comments = useInfiniteQuery({
    queryKey: ["comments", task.id],
    queryFn: ({ pageParam, signal }) =>
      body(api.GET("/api/tasks/{task_id}/comments", {
        params: { path, query: { limit: 50, ...(pageParam ? { cursor: pageParam } : {}) } }, signal,
      })),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.nextCursor ?? undefined,
  });
  const changed = () => Promise.all([["comments", task.id], ["task", task.id], ["tasks"]].map((queryKey) =>
    client.invalidateQueries({ queryKey })));

  async function write(event: SyntheticEvent) {
    event.preventDefault();
    if (!text.trim() || isSending) return;
    setSending(true);
    setText("");
    try {
      await body(api.POST("/api/tasks/{task_id}/comments", {
        params: { path, header: { "Idempotency-Key": key.current } }, body: { text },
      }));
      key.current = crypto.randomUUID();
    } catch (error) {
      setText((typed) => putBack(text, typed));
      tellProblem(error);
    } finally {
      setSending(false);
    }
    await changed();
  }

  async function remove(comment_id: string) {
    try {
      await body(api.DELETE("/api/tasks/{task_id}/comments/{comment_id}", { params: { path: { ...path, comment_id } } }));
    } catch (error) {
      tellProblem(error);
    }
    await changed();
  }

  const items = comments.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <section aria-label="Comments" className={styles.panel}>
      <h2>Comments</h2>
      {comments.isError && !comments.data ? <Failed error={comments.error} again={() => void comments.refetch()} /> : null}
      <ul>
        {items.map((one) => (
          <li key={one.id} className={styles.comment}>
            <div className={styles.bar}>
              <span className="small">
                {person(one.author, { me: me?.id, owner: task.owner })} · <time dateTime={one.createdAt}>{new Date(one.createdAt).toLocaleString()}</time>
              </span>
              {one.author === me?.id || task.role === "owner" ? (
                <button type="button" className="quiet" aria-label="Delete this comment" onClick={() => void remove(one.id)}>Delete</button>
              ) : null}
            </div>
            <p>{one.text}</p>
          </li>
        ))}
      </ul>
      {comments.hasNextPage ? <button type="button" className="quiet" onClick={() => void comments.fetchNextPage()}>More comments</button> : null}
      {task.role === "viewer" ? null : (
        <form className={styles.write} onSubmit={(event) => void write(event)}>
          <label className={styles.grow}><span className="unseen">Comment</span>
            <input value={text} maxLength={4000} placeholder="Write a comment" onChange={(event) => setText(event.target.value)} />
          </label>
          <button type="submit" disabled={!text.trim() || isSending}>Send</button>
        </form>
      )}
    </section>
  );
}
