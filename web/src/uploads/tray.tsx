// What is on its way, and what a person can do about it.

import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useSyncExternalStore } from "react";

import { renewNewest } from "../media/pages";
import { isOver, type Phase } from "./model";
import { again, current, dismiss, subscribe } from "./queue";
import type { Upload } from "./upload";
import styles from "./uploads.module.css";

const REASONS: Record<string, string> = {
  "unknown-type": "This kind of file is not taken.",
  "type-mismatch": "It is another kind of file than it says.",
  "bad-dimensions": "Its sides are too long.",
  "too-many-pixels": "It has too many pixels.",
  truncated: "Its end is missing.",
  corrupt: "It is damaged.",
  "size-mismatch": "It has another size than announced.",
  "checksum-mismatch": "It changed on the way.",
  archive: "Archives are not taken.",
  infected: "A virus was found in it.",
  "scan-limit": "It is too complex to be scanned for viruses.",
  "never-uploaded": "It never arrived.",
};

export function reasonWords(reason: string | null): string {
  return REASONS[reason ?? ""] ?? "It was rejected.";
}

export function phaseWords(phase: Phase, size: number): string {
  switch (phase.name) {
    case "waiting": return "Waiting";
    case "preparing": return "Preparing";
    case "sending": return `${share(phase.sent, size)} %`;
    case "retrying": return phase.isAltered ? "It changed on the way. Sending it again" : "Trying again";
    case "paused": return `Paused at ${share(phase.sent, size)} %`;
    case "checking": return "Checking";
    case "ready": return "Ready";
    case "rejected": return reasonWords(phase.reason);
    case "refused": return phase.words;
    case "cancelled": return "Cancelled";
  }
}

function share(sent: number, size: number): number {
  return Math.min(100, Math.floor((100 * sent) / Math.max(1, size)));
}

export function useUploads(): readonly Upload[] {
  return useSyncExternalStore(subscribe, current);
}

export function UploadTray() {
  const uploads = useUploads();
  const client = useQueryClient();
  const done = uploads.filter(({ phase }) => phase.name === "ready" || phase.name === "rejected").length;
  const announced = uploads.filter((upload) => upload.mediaId).length;
  useEffect(() => {
    void renewNewest(client);
    void client.invalidateQueries({ queryKey: ["task"] });
    void client.invalidateQueries({ queryKey: ["usage"] });
  }, [client, done, announced]);
  const attached = uploads.filter(({ isAttached }) => isAttached).length;
  useEffect(() => {
    if (!attached) return;
    for (const kind of ["task", "tasks"]) void client.invalidateQueries({ queryKey: [kind] });
  }, [client, attached]);
  const shown = uploads.filter(({ phase }) => phase.name !== "ready" && phase.name !== "cancelled");
  if (!shown.length) return null;
  return (
    <section className={styles.tray} aria-label="Uploads">
      <ul>{shown.map((upload) => <Line key={upload.key} upload={upload} />)}</ul>
    </section>
  );
}

function Line({ upload }: { upload: Upload }) {
  const { phase, file } = upload;
  const sent = "sent" in phase ? phase.sent : phase.name === "checking" ? file.size : 0;
  return (
    <li className={styles.line} data-phase={phase.name}>
      <span className={styles.name}>{file.name}</span>
      <span className={phase.name === "refused" || phase.name === "rejected" ? "error" : "small"}>
        {phaseWords(phase, file.size)}
      </span>
      {isOver(phase) ? null : (
        <progress max={file.size} value={sent} aria-label={`Upload of ${file.name}`} />
      )}
      <Actions upload={upload} />
    </li>
  );
}

function Actions({ upload }: { upload: Upload }) {
  const { phase, file } = upload;
  const button = (name: string, act: () => void) => (
    <button type="button" className="quiet" aria-label={`${name} ${file.name}`} onClick={act}>{name}</button>
  );
  if (phase.name === "refused" && phase.again) {
    return <>{button("Retry", () => again(upload))}{button("Dismiss", () => dismiss(upload))}</>;
  }
  if (isOver(phase)) return button("Dismiss", () => dismiss(upload));
  return (
    <>
      {phase.name === "paused" ? button("Resume", () => again(upload)) : null}
      {phase.name === "sending" || phase.name === "retrying" ? button("Pause", () => upload.pause()) : null}
      {button("Cancel", () => void upload.cancel())}
    </>
  );
}

/** The ones of a task that is being written, small. */
export function UploadChips({ uploads }: { uploads: readonly Upload[] }) {
  useUploads();
  const shown = uploads.filter(({ phase }) => phase.name !== "cancelled");
  if (!shown.length) return null;
  return (
    <ul className={styles.chips} aria-label="Pictures of the new task">
      {shown.map((upload) => (
        <li key={upload.key} data-phase={upload.phase.name}>
          <span className={styles.name}>{upload.file.name}</span>
          <span className="small">{phaseWords(upload.phase, upload.file.size)}</span>
        </li>
      ))}
    </ul>
  );
}
