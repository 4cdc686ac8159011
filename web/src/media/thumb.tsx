// A picture that stands in its place from the first moment: its dominant colour and thumbhash,
// then the rendition over them.

import { useEffect, useRef } from "react";
import { thumbHashToRGBA } from "thumbhash";

import styles from "./media.module.css";

interface Props {
  alt: string;
  url: string | null;
  thumbhash?: string | null | undefined;
  color?: string | null | undefined;
}

export function Thumb({ alt, url, thumbhash, color }: Props) {
  return (
    <span className={styles.thumb} ref={(element) => { if (element && color) element.style.backgroundColor = color; }}>
      {thumbhash ? <Blur hash={thumbhash} /> : null}
      {url ? <img src={url} alt={alt} loading="lazy" decoding="async" /> : <span className="unseen">{alt}</span>}
    </span>
  );
}

/** On a canvas: a data: URL would need another line in the Content-Security-Policy. */
function Blur({ hash }: { hash: string }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const bytes = Uint8Array.from(atob(hash), (char) => char.charCodeAt(0));
    const { w, h, rgba } = thumbHashToRGBA(bytes);
    const element = canvas.current!;
    element.width = w;
    element.height = h;
    const pixels = new ImageData(new Uint8ClampedArray(rgba), w, h);
    element.getContext("2d")?.putImageData(pixels, 0, 0);
  }, [hash]);
  return <canvas ref={canvas} aria-hidden="true" />;
}
