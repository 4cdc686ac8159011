// A new task, with the pictures that are dropped, pasted or picked while it is written: their
// uploads start at once, and the task carries them as soon as it is saved.

import { useQueryClient } from "@tanstack/react-query";
import { type SyntheticEvent, useRef, useState } from "react";

import { useMe } from "../app";
import { putBack } from "../ui/form";
import { tellProblem } from "../ui/notices";
import type { Upload } from "../uploads/upload";
import { add, named } from "../uploads/queue";
import { DropZone, FileInput } from "../uploads/drop-zone";
import { UploadChips } from "../uploads/tray";
import { carrying } from "./carrying";
import { attach, useCreate } from "./queries";
import styles from "./tasks.module.css";

export function QuickAdd() {
  const me = useMe().data;
  const create = useCreate();
  const client = useQueryClient();
  const [title, setTitle] = useState("");
  const [isSaving, setSaving] = useState(false);
  const [uploads, setUploads] = useState<readonly Upload[]>([]);
  // One for each task that is written: sent twice, it is made once.
  const key = useRef(crypto.randomUUID());

  const take = (files: File[]) => {
    if (me) setUploads((before) => [...before, ...add(files, me.id)]);
  };

  async function save(event: SyntheticEvent) {
    event.preventDefault();
    if (!title.trim() || isSaving) return;
    setSaving(true);
    // What is written from now on is the next task's.
    setTitle("");
    setUploads([]);
    try {
      await carrying(uploads, named, (mediaIds) => {
        const draft = { title: title.trim(), ...(mediaIds.length ? { mediaIds } : {}) };
        return create.mutateAsync({ draft, key: key.current });
      }, (made, mediaId) => void attach(client, made.id, mediaId).catch(tellProblem));
      key.current = crypto.randomUUID();
    } catch (error) {
      setTitle((typed) => putBack(title, typed));
      setUploads((since) => [...uploads, ...since]);
      throw error;
    } finally {
      setSaving(false);
    }
  }

  return (
    <DropZone take={take} className={styles.add}>
      <form onSubmit={(event) => void save(event).catch(tellProblem)}>
        <label className={styles.grow}><span className="unseen">New task</span>
          <input data-key="new-task" value={title} onChange={(event) => setTitle(event.target.value)} maxLength={200} placeholder="What is to be done?" autoComplete="off" />
        </label>
        <label className={styles.pick}>
          <FileInput take={take} />
          <span>Add pictures</span>
        </label>
        <button type="submit" disabled={!title.trim() || isSaving}>Add task</button>
      </form>
      <UploadChips uploads={uploads} />
    </DropZone>
  );
}
