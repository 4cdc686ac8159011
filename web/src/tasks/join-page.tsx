import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useLocation } from "wouter";

import { api, body } from "../api/client";
import { Problem } from "../api/problem";
import { useTitle } from "../ui/title";
import styles from "./tasks.module.css";

/** Joining asks first: opening a link that somebody sent should change nothing by itself. */
export default function JoinPage({ token }: { token: string }) {
  useTitle("Join a task");
  const client = useQueryClient();
  const [, go] = useLocation();
  const [words, setWords] = useState("");
  async function join() {
    try {
      const task = await body(api.POST("/api/tasks/invitations/accept", { body: { token } }));
      await client.invalidateQueries({ queryKey: ["tasks"] });
      go(`/tasks/${task.id}`, { replace: true });
    } catch (error) {
      setWords(error instanceof Problem && error.status < 500 ? "This link is used, withdrawn or too old." : "Try again in a moment.");
    }
  }
  return (
    <section className={styles.panel}>
      <h1>Somebody shares a task with you</h1>
      {words ? <p role="alert" className="error">{words}</p> : null}
      <button type="button" onClick={() => void join()}>Join</button>
    </section>
  );
}
