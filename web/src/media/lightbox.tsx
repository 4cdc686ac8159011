// One picture at a time: swipe, keys, zoom, caption, download; the URL names what is open.

import Box, { type Slide } from "yet-another-react-lightbox";
import "yet-another-react-lightbox/styles.css";
import Zoom from "yet-another-react-lightbox/plugins/zoom";

import type { Medium, Picture } from "../api/client";
import styles from "./media.module.css";
import { bytes, download, useMedium } from "./queries";

type Shown = Pick<Medium & Picture, "id" | "fileName" | "width" | "height" | "thumbnailUrl" | "contentType">;

interface Props {
  items: readonly Shown[];
  open: string;
  show: (id: string) => void;
  close: () => void;
  /** Through which somebody sees a picture that is not his own. */
  task?: string;
}

export default function Lightbox({ items, open, show, close, task }: Props) {
  const asked = useMedium(open, task);
  const known = items.some(({ id }) => id === open);
  const all: readonly Shown[] = known ? items : asked.data ? [asked.data] : [];
  const index = all.findIndex(({ id }) => id === open);
  if (index < 0) return asked.isError ? <p role="alert" className="error">There is no such picture.</p> : null;
  const detail = asked.data?.id === open ? asked.data : undefined;
  const slides: Slide[] = all.map((one) => {
    const best = one.id === open ? detail?.renditions.at(-1) : undefined;
    return {
      src: best?.url ?? one.thumbnailUrl ?? "", alt: one.fileName,
      ...(one.width && one.height ? { width: one.width, height: one.height } : {}),
    };
  });
  const here = all[index]!;
  return (
    <Box
      open index={index} slides={slides} close={close} plugins={[Zoom]}
      carousel={{ finite: true, preload: 1 }} controller={{ closeOnBackdropClick: true }}
      on={{ view: ({ index: at }) => { const next = all[at]; if (next && next.id !== open) show(next.id); } }}
      toolbar={{
        buttons: [
          <button key="save" type="button" className="yarl__button" aria-label="Download the original" onClick={() => void download(open, here.fileName, task)}>⤓</button>,
          "close",
        ],
      }}
      render={{
        slideFooter: ({ slide }) => (slide.alt === here.fileName ? (
          <p className={styles.caption}>
            {here.fileName}
            {detail ? ` · ${bytes(detail.size)}${detail.width ? ` · ${detail.width} × ${detail.height}` : ""}` : ""}
            {detail?.capturedAt ? ` · taken ${detail.capturedAt.slice(0, 16).replace("T", " ")}` : ""}
          </p>
        ) : null),
        ...(slides.length < 2 ? { buttonPrev: () => null, buttonNext: () => null } : {}),
      }}
    />
  );
}
