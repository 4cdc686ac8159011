import { useQueryClient } from "@tanstack/react-query";

import { api, body, type Picture, type TaskWithMedia } from "../api/client";
import { useMe } from "../app";
import { Thumb } from "../media/thumb";
import { tell, tellProblem } from "../ui/notices";
import { DropZone, FileInput } from "../uploads/drop-zone";
import { add, detached } from "../uploads/queue";
import { phaseWords, reasonWords, useUploads } from "../uploads/tray";
import { attach, changedPictures, detach, useChange } from "./queries";
import styles from "./pictures.module.css";

export function Pictures({ task, show }: { task: TaskWithMedia; show: (picture: string) => void }) {
  const client = useQueryClient();
  const me = useMe().data;
  const may = task.role !== "viewer";
  const take = (files: File[]) => { if (me && may) add(files, me.id, task.id); };
  const ids = task.media.map(({ id }) => id);
  const coming = useUploads().filter((upload) =>
    upload.task === task.id && !(upload.mediaId && ids.includes(upload.mediaId)) && !["ready", "cancelled"].includes(upload.phase.name));

  async function away(picture: Picture) {
    try {
      await detach(client, task.id, picture.id);
      detached(picture.id);
      tell("The picture is no longer on this task. It is still among your pictures.", () =>
        void attach(client, task.id, picture.id).catch(tellProblem));
    } catch (error) {
      tellProblem(error);
    }
  }

  async function move(at: number, to: number) {
    const order = [...ids];
    order.splice(to, 0, ...order.splice(at, 1));
    try {
      await body(api.PUT("/api/tasks/{task_id}/media-order", {
        params: { path: { task_id: task.id } }, body: { mediaIds: order },
      }));
    } catch (error) {
      tellProblem(error);
    }
    await changedPictures(client, task.id);
  }

  return (
    <DropZone take={take}>
      <section aria-label="Pictures" className={styles.section}>
        <h2>Pictures</h2>
        <ul className={styles.pictures}>
          {task.media.map((picture, at) => (
            <Tile key={picture.id} picture={picture} task={task} may={may} show={show} away={() => void away(picture)}
              earlier={at > 0 ? () => void move(at, at - 1) : undefined}
              later={at < ids.length - 1 ? () => void move(at, at + 1) : undefined} />
          ))}
          {coming.map((upload) => (
            <li key={upload.key} className={styles.tile}>
              <span className={styles.frame}><span className={styles.state}>{phaseWords(upload.phase, upload.file.size)}</span></span>
              <span className={styles.name}>{upload.file.name}</span>
            </li>
          ))}
        </ul>
        {may ? (
          <label className={styles.pick}>
            <FileInput take={take} />
            <span>Drop or paste pictures here, or choose them</span>
          </label>
        ) : null}
      </section>
    </DropZone>
  );
}

interface TileProps {
  picture: Picture;
  task: TaskWithMedia;
  may: boolean;
  show: (id: string) => void;
  away: () => void;
  earlier: (() => void) | undefined;
  later: (() => void) | undefined;
}

function Tile({ picture, task, may, show, away, earlier, later }: TileProps) {
  const change = useChange();
  const ready = picture.state === "ready";
  const isCover = task.cover === picture.id;
  const words = ready ? "" : picture.state === "rejected" ? reasonWords(null) : "Checking";
  return (
    <li className={styles.tile} data-state={picture.state}>
      <button type="button" className={styles.frame} disabled={!ready} aria-label={`Open ${picture.fileName}`} onClick={() => show(picture.id)}>
        <Thumb alt={picture.fileName} url={picture.thumbnailUrl} />
        {words ? <span className={styles.state}>{words}</span> : null}
        {isCover ? <span className={styles.state}>Cover</span> : null}
      </button>
      <span className={styles.name} title={picture.fileName}>{picture.fileName}</span>
      {may ? (
        <span className={styles.actions}>
          {earlier ? <button type="button" className="quiet" aria-label={`Move ${picture.fileName} earlier`} onClick={earlier}>←</button> : null}
          {later ? <button type="button" className="quiet" aria-label={`Move ${picture.fileName} later`} onClick={later}>→</button> : null}
          {isCover || !ready ? null : (
            <button type="button" className="quiet" aria-label={`Make ${picture.fileName} the cover`} onClick={() => change.mutate({ id: task.id, change: { cover: picture.id } }, { onError: tellProblem })}>Cover</button>
          )}
          <button type="button" className="quiet" aria-label={`Detach ${picture.fileName}`} onClick={away}>Detach</button>
        </span>
      ) : null}
    </li>
  );
}
