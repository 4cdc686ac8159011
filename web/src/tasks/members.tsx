// With whom a task is shared. People join by a link that is good once.

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, body, type Task } from "../api/client";
import { useMe } from "../app";
import { tell, tellProblem } from "../ui/notices";
import styles from "./tasks.module.css";

type Role = "viewer" | "editor";

export function Members({ task }: { task: Task }) {
  const client = useQueryClient();
  const me = useMe().data;
  const path = { task_id: task.id };
  const [link, setLink] = useState("");
  const members = useQuery({
    queryKey: ["members", task.id],
    queryFn: ({ signal }) => body(api.GET("/api/tasks/{task_id}/members", { params: { path }, signal })),
  });

  async function invite(role: Role) {
    try {
      const ticket = await body(api.POST("/api/tasks/{task_id}/invitations", {
        params: { path, header: { "Idempotency-Key": crypto.randomUUID() } }, body: { role },
      }));
      setLink(`${location.origin}/join/${ticket.token}`);
    } catch (error) {
      tellProblem(error);
    }
  }

  async function remove(user_id: string) {
    try {
      await body(api.DELETE("/api/tasks/{task_id}/members/{user_id}", { params: { path: { ...path, user_id } } }));
    } catch (error) {
      tellProblem(error);
    }
    await client.invalidateQueries({ queryKey: ["members", task.id] });
  }

  return (
    <section aria-label="Members">
      <h2>Shared with</h2>
      <ul>
        {members.data?.items.filter(({ user }) => user !== me?.id).map(({ user, role }) => (
          <li key={user} className={styles.bar}>
            <span>{user.slice(0, 8)}… <span className="small">{role}</span></span>
            <button type="button" className="quiet" aria-label={`Remove the ${role} ${user.slice(0, 8)}`} onClick={() => void remove(user)}>Remove</button>
          </li>
        ))}
      </ul>
      <div className={styles.bar}>
        <button type="button" className="plain" onClick={() => void invite("viewer")}>Link for a viewer</button>
        <button type="button" className="plain" onClick={() => void invite("editor")}>Link for an editor</button>
      </div>
      {link ? (
        <label>Good for one person, once
          <input readOnly value={link} onFocus={(event) => event.target.select()} />
          <button type="button" className="quiet" onClick={() => void navigator.clipboard.writeText(link).then(() => tell("Copied."))}>Copy</button>
        </label>
      ) : null}
    </section>
  );
}
