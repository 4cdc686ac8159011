// Takes files that are dropped on it, or pasted while the focus is inside.

import { type ClipboardEvent, type DragEvent, type ReactNode, useState } from "react";

import styles from "./uploads.module.css";

const ACCEPT = "image/jpeg,image/png,image/gif,image/webp,image/heic,image/heif,image/avif,image/tiff,application/pdf,text/plain";

interface Props {
  take: (files: File[]) => void;
  className?: string | undefined;
  children: ReactNode;
}

export function DropZone({ take, className, children }: Props) {
  const [isOver, setOver] = useState(false);
  const drop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    const files = [...event.dataTransfer.files];
    if (files.length) take(files);
  };
  const paste = (event: ClipboardEvent) => {
    const files = [...event.clipboardData.files];
    if (!files.length) return;
    event.preventDefault();
    take(files);
  };
  return (
    <div
      className={`${className ?? ""} ${isOver ? styles.over : ""}`}
      onDragOver={(event) => { event.preventDefault(); setOver(true); }}
      onDragLeave={() => setOver(false)}
      onDrop={drop}
      onPaste={paste}
    >
      {children}
    </div>
  );
}

/** For a label to wrap; unseen, because its label is what is seen. */
export function FileInput({ take }: { take: (files: File[]) => void }) {
  return (
    <input
      type="file" multiple accept={ACCEPT} className="unseen"
      onChange={({ target }) => {
        take([...(target.files ?? [])]);
        // So that the same file can be chosen again.
        target.value = "";
      }}
    />
  );
}
